"""The stored row: one codec at one rate point on one image. The only thing that reports read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

SCHEMA = 1

OK = "ok"
FAILED = "failed"

R = TypeVar("R", bound="StoredRow")


def digest(values: Mapping[str, Any]) -> str:
    """Return 32 hex digits that identify ``values`` (JSON data, independent of key order)."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class StoredRow:
    """A dataclass that is stored as one line of JSON; it has a field ``schema``."""

    schema: int

    def to_json(self) -> str:
        """Return the row as one line of JSON without the line end."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls: type[R], line: str) -> R:
        """Parse one line.

        Raises:
            ValueError: the line is no row of a schema that this version reads.
        """
        values, schema = json.loads(line), cls.schema
        if not isinstance(values, dict) or values.get("schema") != schema:
            raise ValueError(f"not a row of schema {schema}")
        known = {entry.name for entry in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown fields {unknown}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class Row(StoredRow):
    """One measurement, or one failure with its reason.

    ``series`` identifies what was run (codec, point, settings, weights, versions, device); ``key`` is the
    series together with the image. Rows with the same key are the same measurement; the last one counts.
    Optional values are None where they do not apply or where the measurement failed. Rates are over the
    original pixels, not the padded ones; bpp counts every byte of the file.
    """

    key: str
    series: str
    status: str  # "ok" or "failed"
    dataset: str
    image: str
    image_sha256: str
    codec: str  # kind of codec, the registry's name
    name: str  # what tables call it: "hpcm_base", "vvenc"
    label: str
    point: str
    reason: str | None = None  # why it failed
    dataset_total: int | None = None  # images in the whole set; None for a folder of the user's
    image_verified: bool | None = None  # the image's SHA-256 is the catalogue's; None where none is known
    warnings: list[str] = field(default_factory=list)
    miniature: bool = False
    point_settings: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)  # what ``series`` is the digest of
    colour: str = "RGB"
    width: int | None = None
    height: int | None = None
    padding: list[int] | None = None  # left, top, right, bottom
    bytes_total: int | None = None
    bytes_y: int | None = None
    bytes_z: int | None = None
    bytes_header: int | None = None
    bpp: float | None = None
    bpp_y: float | None = None
    bpp_z: float | None = None
    bpp_header: float | None = None
    bpp_estimated: float | None = None
    actual_over_estimated: float | None = None
    psnr_rgb_db: float | None = None
    psnr_y_db: float | None = None
    psnr_cb_db: float | None = None
    psnr_cr_db: float | None = None
    ms_ssim: float | None = None
    ms_ssim_db: float | None = None
    ms_ssim_reason: str | None = None  # why there is no MS-SSIM
    encode_s: float | None = None
    decode_s: float | None = None
    decode_matches: bool | None = None  # decoder's reconstruction (separate process) == encoder's own
    decode_max_abs_difference: int | None = None
    reconstruction_sha256: str | None = None
    code_version: str = ""
    machine: dict[str, Any] = field(default_factory=dict)  # device, threads, library versions
    measured_at: str = ""  # ISO 8601, UTC
    schema: int = SCHEMA

"""Rows of schema 1 as rows of today's schema; nothing that they say is lost.

In schema 1 a learned row's identity held the processor, torch's version and a digest of compiler flags, so that stored
rows counted on the machine that made them only. These are provenance now. Qualities stood in fields of their own.
"""

from __future__ import annotations

from typing import Any

from bench.common.hashing import digest_json
from bench.metrics.quality import METRICS
from bench.metrics.quality.psnr import IDENTICAL
from bench.results.rows import OK, row_key
from bench.results.schema import convert_values

FIELDS = {"psnr_rgb_db": "psnr", "psnr_y_db": "psnr-y", "psnr_cb_db": "psnr-cb", "psnr_cr_db": "psnr-cr",
          "ms_ssim": "ms-ssim"}
VERSION = "1"  # of the code behind every quality of schema 1
DERIVED = ("bpp_y", "bpp_z", "bpp_header", "ms_ssim_db", "settings", "point_settings")  # told by other fields


def upgrade_row(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a row of schema 1, null ones left out, as those of schema 2.

    Raises:
        ValueError: a field is missing or of another type.
    """
    old = {name: value for name, value in values.items() if name not in DERIVED}
    machine = convert_values(old.get("machine", {}), dict[str, Any], "machine")
    identity, operators, device = _split_identity(convert_values(old.get("identity", {}), dict[str, Any], "identity"))

    if operators is not None:
        machine["operators"] = operators
    if device is not None:
        machine.setdefault("device", device)
    old |= _gather_quality(old)
    for name in (*FIELDS, "ms_ssim_reason", "machine"):
        old.pop(name, None)

    series = digest_json(identity)
    place = [convert_values(old.get(name), str, name) for name in ("dataset", "image", "image_sha256")]
    return {**old, "identity": identity, "provenance": machine, "series": series, "key": row_key(series, *place)}


def _split_identity(identity: dict[str, Any]) -> tuple[dict[str, Any], str | None, str | None]:
    """Return what decides a result, and the operators and the device that do not."""
    device = identity.pop("device", None)
    operators = identity.pop("operators", None)

    version = identity.get("codec_version")
    if identity.get("codec") == "learned" and isinstance(version, str):
        torch, _, coder = version.partition(", ")
        if torch.startswith("torch ") and coder:
            del identity["codec_version"]
            identity["coder"] = coder
    return identity, operators, device


def _gather_quality(old: dict[str, Any]) -> dict[str, Any]:
    """Return the three fields of quality; a row without a result has none."""
    if old.get("status") != OK:
        return {}

    values, missing = {}, {}
    for field, name in FIELDS.items():
        if field in old:
            values[name] = old[field]
        elif field == "ms_ssim":
            missing[name] = old.get("ms_ssim_reason", "N/A")
        else:
            missing[name] = IDENTICAL.format(label=METRICS.get(name).label)
    return {"quality": values, "quality_missing": missing, "quality_versions": dict.fromkeys(FIELDS.values(), VERSION)}

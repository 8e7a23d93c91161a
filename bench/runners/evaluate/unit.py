"""A unit of work: one codec at one rate point on one dataset. A pure function of its specification.

Nothing here knows of caches, stores, progress or other units, so a unit can run in any process anywhere.
"""

from __future__ import annotations

import datetime
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import CODECS, Codec, CodecSpec, Encoding, build_codec
from bench.common.errors import CodecError
from bench.common.files import DiskFull, disk_full_stops, file_name, is_out_of_space
from bench.datasets.images import read_rgb8
from bench.metrics.quality.compute import fidelity_fields
from bench.results.rows import FAILED, OK, Row
from bench.runners.allocator import keep_freed_memory
from bench.runners.evaluate.decoder_client import DECODE_TIMEOUT_S, DecoderFailure, DecoderProcess
from bench.runners.evaluate.identity import Series, identify, row_key
from bench.runners.evaluate.rates import rate_fields, rate_warning
from bench.runners.machine import code_version, configure_torch, describe_machine, free_gpu_memory, timed


@dataclass(frozen=True)
class UnitImage:
    """One image: file name, path, SHA-256 of the file, and whether that is the catalogue's."""

    name: str
    path: str
    sha256: str
    verified: bool | None = None


@dataclass(frozen=True)
class Unit:
    """What to measure, as plain values.

    Attributes:
        dataset_total: images in the whole set; None for a folder of the user's.
        device: "cpu" or "cuda", for codecs that run through torch.
        threads: torch's; None leaves its default.
        jobs: units that run at the same time as this one, itself included; recorded beside the times.
        keep_streams: folder to keep the encoded files in, else they are temporary.
    """

    spec: CodecSpec
    dataset: str
    dataset_total: int | None
    images: tuple[UnitImage, ...]
    device: str = "cpu"
    threads: int | None = None
    deterministic: bool = True
    jobs: int = 1
    decode_timeout_s: float = DECODE_TIMEOUT_S
    keep_streams: str | None = None


def run_unit(unit: Unit) -> Iterator[Row]:
    """Measure every image of ``unit`` and yield one row each, in order.

    Whatever goes wrong with an image is a failed row with its reason, never an exception, and a codec
    that can't be built fails every image.

    Raises:
        DiskFull: encoded or decoded files can't be written.
    """
    series = identify(unit.spec, unit.device)
    machine: dict[str, Any] = {}
    with ExitStack() as stack:
        try:
            machine = machine_of(unit, series)
            run = _Run(unit, series, stack)
        except Exception as error:
            _stop_if_disk_is_full(error)
            yield from (failed_row(unit, image, series, error, machine) for image in unit.images)
            return
        for image in unit.images:
            try:
                row = _row(unit, image, series, status=OK, machine=machine, **run.measure(image))
            except Exception as error:
                _stop_if_disk_is_full(error)
                row = failed_row(unit, image, series, error, machine)
                free_gpu_memory()
            yield row


def machine_of(unit: Unit, series: Series) -> dict[str, Any]:
    """Set torch up for ``unit``, if it runs through torch, and return what its rows say of the machine."""
    torch = _torch_options(unit, series)
    if torch is not None:
        configure_torch(**torch)
        keep_freed_memory()
    return describe_machine(unit.device if series.per_device else "cpu", jobs=unit.jobs, torch=torch)


def _torch_options(unit: Unit, series: Series) -> dict[str, Any] | None:
    return {"threads": unit.threads, "deterministic": unit.deterministic} if series.per_device else None


def failed_row(unit: Unit, image: UnitImage, series: Series, error: BaseException,
               machine: dict[str, Any] | None = None) -> Row:
    """Return the row that says why ``image`` could not be measured, without paths of this machine."""
    kind = error.kind if isinstance(error, DecoderFailure) else type(error).__name__
    lines = f"{kind}: {error}".replace(image.path, image.name).splitlines()  # what is wrong, then what to do
    text = "; ".join(" ".join(line.split()) for line in lines if line.strip())
    for path in unit.spec.location.values():
        text = text.replace(path, Path(path).name)
    return _row(unit, image, series, status=FAILED, reason=text, machine=machine or {})


def _row(unit: Unit, image: UnitImage, series: Series, **values: Any) -> Row:
    spec, entry = unit.spec, CODECS.get(unit.spec.codec)
    return Row(
        key=row_key(series.digest, unit.dataset, image.name, image.sha256), series=series.digest,
        dataset=unit.dataset, dataset_total=unit.dataset_total,
        image=image.name, image_sha256=image.sha256, image_verified=image.verified,
        codec=spec.codec, name=spec.name, label=spec.settings.get("label", entry.label), point=spec.point,
        miniature=bool(spec.settings.get("miniature", False)), point_settings=dict(spec.point_settings),
        settings=dict(series.values.get("settings", {})), identity=series.values, colour=entry.colour,
        code_version=code_version(),
        measured_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **values,
    )


def _stop_if_disk_is_full(error: Exception) -> None:
    if isinstance(error, DiskFull):
        raise error
    if isinstance(error, OSError) and is_out_of_space(error.errno):
        raise DiskFull(error.filename or "a temporary file") from error


class _Run:
    """The codec, its decoder process and the folder of files, for the duration of one unit."""

    def __init__(self, unit: Unit, series: Series, stack: ExitStack) -> None:
        spec = unit.spec
        if series.fault is not None:
            raise CodecError(series.fault)
        if series.per_device:
            spec = replace(spec, location={**spec.location, "device": unit.device})
        self.codec: Codec = build_codec(spec)
        self.unit = unit
        self.decoder = stack.enter_context(
            DecoderProcess(spec, torch=_torch_options(unit, series), timeout_s=unit.decode_timeout_s))
        self.folder = _stream_folder(unit, stack)
        self._is_warm = False

    def measure(self, image: UnitImage) -> dict[str, Any]:
        """Return the row fields of one image."""
        original = read_rgb8(image.path)
        height, width = original.shape[:2]
        if not self._is_warm:  # the first call also loads libraries and makes tables; it is not timed
            self._code(image, original)
            self._is_warm = True
        encoding, encode_s, bytes_total, decoded, decode_s = self._code(image, original)
        if decoded.shape != original.shape:
            raise CodecError(f"decoded as {decoded.shape[1]}x{decoded.shape[0]}, not {width}x{height}")
        values = {
            "width": width, "height": height, "padding": list(encoding.padding),
            "encode_s": encode_s, "decode_s": decode_s,
            "reconstruction_sha256": hashlib.sha256(decoded.tobytes()).hexdigest(),
            **rate_fields(encoding, bytes_total, width * height),
            **self._compare_with_encoder(encoding, decoded),
            **fidelity_fields(original, decoded),
        }
        values["warnings"] = _warnings(image.name, values)
        return values

    def _code(self, image: UnitImage, original: np.ndarray) -> tuple[Encoding, float, int, np.ndarray, float]:
        """Encode into a file and decode from it in the other process."""
        encoding, encode_s = timed(self.codec.encode, original)
        path = self.folder / f"{file_name(image.name)}.bin"
        with disk_full_stops(path):
            path.write_bytes(encoding.stream)
        decoded, decode_s = self.decoder.decode(path)
        bytes_total = path.stat().st_size
        if self.unit.keep_streams is None:
            path.unlink()
        return encoding, encode_s, bytes_total, decoded, decode_s

    def _compare_with_encoder(self, encoding: Encoding, decoded: np.ndarray) -> dict[str, Any]:
        own = encoding.expect()
        if own is None or not np.array_equal(own, decoded):
            own = encoding.reconstruct()
        if own is None:
            own = self.codec.decode(encoding.stream)
        if own.shape != decoded.shape:
            raise CodecError(f"the encoder's own image is {own.shape}, the decoder's {decoded.shape}")
        difference = int(np.abs(own.astype(np.int16) - decoded).max())
        return {"decode_matches": difference == 0, "decode_max_abs_difference": difference}


def _stream_folder(unit: Unit, stack: ExitStack) -> Path:
    if unit.keep_streams is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-encoded-")))
    parts = (unit.dataset, unit.spec.name, unit.spec.point)
    folder = Path(unit.keep_streams).joinpath(*map(file_name, parts))
    with disk_full_stops(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _warnings(image: str, values: dict[str, Any]) -> list[str]:
    warnings = []
    if not values["decode_matches"]:
        warnings.append(f"{image}: the decoder's image differs from the encoder's own by up to"
                        f" {values['decode_max_abs_difference']}")
    if values["psnr_rgb_db"] is None:
        warnings.append(f"{image}: decoded without any error, PSNR is infinite and left out")
    rate = rate_warning(image, values)
    return warnings + [rate] if rate else warnings

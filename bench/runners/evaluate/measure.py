"""Measures a unit of work: a pure function of its specification.

Nothing here knows of caches, stores, progress or other units, so a unit can run in any process anywhere.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import CODECS, Codec, Encoding, build_codec
from bench.common.errors import CodecError
from bench.common.files import DiskFull, PlaceError, is_out_of_space, writing
from bench.common.hashing import digest_json, sha256_of_pixels
from bench.common.temporary import temporary_folder
from bench.metrics.quality import PSNR, measure_quality
from bench.results.rows import FAILED, OK, Provenance, Row, row_key
from bench.runners.evaluate.checks import Checker, Coded
from bench.runners.evaluate.decoder_client import DecoderFailure, DecoderProcess
from bench.runners.evaluate.forked_process import ServerGone
from bench.runners.evaluate.pictures import Pictures
from bench.runners.evaluate.rates import rate_warning
from bench.runners.evaluate.stopwatch import CODING, FILES, SCORING, STARTING, Stopwatch
from bench.runners.evaluate.unit import (
    Series,
    Unit,
    UnitImage,
    identify,
    require_same_codec,
    stream_folder,
    stream_path,
)
from bench.runners.machine import (
    code_version,
    configure_torch,
    describe_machine,
    is_gpu_usable,
    keep_freed_memory,
    time_call,
)
from bench.runners.machine_share import usable_cores

WARM_UP_SIDE = 256  # pixels


def run_unit(unit: Unit, stopwatch: Stopwatch | None = None, decoder: DecoderProcess | None = None,
             pictures: Pictures | None = None,
             begin: Callable[[UnitImage], object] = lambda image: None) -> Iterator[Row]:
    """Measure every image of ``unit`` and yield one row each, in order.

    Whatever goes wrong with an image is a failed row with its reason, never an exception, and a codec
    that can't be built fails every image.

    Args:
        stopwatch: counts what the time is spent on.
        decoder: decodes the files; a process of the unit's own unless given.
        pictures: keeps those that units before it have read.
        begin: is called with each picture that is in work from then on.

    Raises:
        BenchError: encoded or decoded files can't be written.
        ServerGone: no decoder can be started.
        SystemExit: nothing more can be measured in this process.
    """
    stopwatch = stopwatch or Stopwatch()
    stopwatch.begin(STARTING)
    unit = replace(unit, spec=unit.on_device)
    series = unit.series or identify(unit.spec)
    provenance = Provenance()
    with ExitStack() as stack:
        try:
            provenance = set_up_machine(unit)
            require_same_codec(unit)
            decoder = decoder or stack.enter_context(DecoderProcess())
            decoder.prepare(unit.spec, torch=unit.torch_options, timeout_s=unit.decode_timeout_s)
            codec = build_codec(unit.spec)
            checker = stack.enter_context(Checker(codec, uses_torch=unit.torch_options is not None,
                                                  has_core=usable_cores() > unit.jobs))
            run = _Run(unit, series, provenance, codec, decoder, checker, pictures or Pictures(0), stopwatch,
                       _make_stream_folder(unit, stack))
        except Exception as error:
            _raise_what_stops(error)
            yield from (failed_row(unit, image, series, error, provenance) for image in unit.images)
            return

        for image in unit.images:
            begin(image)
            try:
                row = run.measure(image)
            except Exception as error:
                _raise_what_stops(error)
                yield failed_row(unit, image, series, error, provenance)
                if not is_gpu_usable():
                    sys.exit("the GPU answers no more; the next picture needs a new process")
            else:
                yield row


def set_up_machine(unit: Unit) -> Provenance:
    """Set torch up for ``unit``, if it runs through torch, and return what its rows say of where they are made."""
    entry, torch = CODECS.get(unit.spec.codec), unit.torch_options
    if torch is not None:
        configure_torch(**torch)
        keep_freed_memory()
    return describe_machine(unit.device if entry.uses_torch else "cpu", jobs=unit.jobs, torch=torch,
                            operators=entry.operators(unit.spec))


def failed_row(unit: Unit, image: UnitImage, series: Series, error: BaseException,
               provenance: Provenance) -> Row:
    """Return the row that says why ``image`` could not be measured, without paths of this machine."""
    kind = error.kind if isinstance(error, DecoderFailure) else type(error).__name__
    lines = f"{kind}: {error}".replace(image.path, image.name).splitlines()  # what is wrong, then what to do
    text = "; ".join(" ".join(line.split()) for line in lines if line.strip())
    for path in unit.spec.location.values():
        text = text.replace(path, Path(path).name)
    return _row(unit, image, series, status=FAILED, reason=text, provenance=provenance)


def _row(unit: Unit, image: UnitImage, series: Series, **values: Any) -> Row:
    spec, entry = unit.spec, CODECS.get(unit.spec.codec)
    return Row(
        key=row_key(series.digest, unit.dataset, image.name, image.sha256), series=series.digest,
        dataset=unit.dataset, dataset_total=unit.dataset_total,
        image=image.name, image_sha256=image.sha256, image_verified=image.verified,
        codec=spec.codec, name=spec.name, label=str(spec.settings.get("label", entry.label)), point=spec.point,
        miniature=bool(spec.settings.get("miniature", False)), identity=series.values, colour=entry.colour,
        code_version=code_version(),
        measured_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **values,
    )


def _raise_what_stops(error: Exception) -> None:
    """Raise what no picture is to blame for."""
    if isinstance(error, (DiskFull, PlaceError, ServerGone)):
        raise error
    if isinstance(error, OSError) and is_out_of_space(error.errno):
        raise DiskFull(error.filename or "a temporary file") from error


class _Run:
    """The codec, its decoder process and the folder of files, for the duration of one unit."""

    def __init__(self, unit: Unit, series: Series, provenance: Provenance, codec: Codec, decoder: DecoderProcess,
                 checker: Checker, pictures: Pictures, stopwatch: Stopwatch, folder: Path) -> None:
        self.unit, self.series, self.provenance = unit, series, provenance
        self.codec, self.decoder, self.folder = codec, decoder, folder
        self._checker, self._pictures, self._stopwatch = checker, pictures, stopwatch
        self._is_warm = False

    def measure(self, image: UnitImage) -> Row:
        """Return the row of one image."""
        self._stopwatch.begin(FILES)
        original = self._pictures.read(image)
        stored = self.unit.stored.get(image.name)
        kept = None if stored is None else self._decode_kept(image, stored)
        if stored is not None and kept is not None:
            return self._add_metrics(stored, original, kept)
        if self.unit.only_kept:
            raise CodecError("no kept file decodes to the picture that was measured")

        self._warm_up(image, original)
        self._stopwatch.begin(CODING)
        encoding, decoded, costs = self._code(image, original)
        height, width = original.shape[:2]
        if decoded.shape != original.shape:
            raise CodecError(f"decoded as {decoded.shape[1]}x{decoded.shape[0]}, not {width}x{height}")
        if stored is not None and sha256_of_pixels(decoded) == stored.reconstruction_sha256:
            return self._add_metrics(stored, original, decoded)

        metrics = dict.fromkeys((*self.unit.metrics, *self.unit.stored_metrics))
        self._stopwatch.begin(SCORING)
        coded = Coded(original, encoding, decoded, costs["bytes_total"])
        quality, checked = self._checker.check_beside(lambda: measure_quality(original, decoded, metrics), coded)
        if "decode_matches" not in checked:
            self._stopwatch.begin(CODING)
            checked |= self._checker.compare(coded)
        self._stopwatch.begin(FILES)
        values = {
            "width": width, "height": height, "padding": encoding.padding,
            "quality": quality.values, "quality_missing": quality.missing, "quality_versions": quality.versions,
            **costs, **checked,
        }
        values["warnings"] = _warnings(image.name, values)
        return _row(self.unit, image, self.series, status=OK, provenance=self.provenance, **values)

    def _warm_up(self, image: UnitImage, original: np.ndarray) -> None:
        """Code once without a clock: the first call also loads libraries, gets memory and makes tables.

        Memory and libraries stay in the two processes, so that at the next rate point of a codec a part of the image
        will do.
        """
        settings = digest_json({"codec": self.unit.spec.codec, **self.unit.spec.settings})
        if self._is_warm and settings in self.decoder.warmed:
            return
        self._stopwatch.begin(STARTING)
        part = original[:WARM_UP_SIDE, :WARM_UP_SIDE] if settings in self.decoder.warmed else original
        self._code(image, part)
        self.decoder.warmed.add(settings)
        self._is_warm = True

    def _add_metrics(self, stored: Row, original: np.ndarray, decoded: np.ndarray) -> Row:
        """Return ``stored`` with the metrics that it lacks, computed on the picture that it was measured on."""
        self._stopwatch.begin(SCORING)
        quality = measure_quality(original, decoded, stored.lacks(self.unit.metrics))
        self._stopwatch.begin(FILES)
        kept = {name: value for name, value in stored.quality.items() if name not in quality.versions}
        missing = {name: reason for name, reason in stored.quality_missing.items() if name not in quality.versions}
        return structs.replace(
            stored, quality={**kept, **quality.values}, quality_missing={**missing, **quality.missing},
            quality_versions={**stored.quality_versions, **quality.versions},
        )

    def _decode_kept(self, image: UnitImage, stored: Row) -> np.ndarray | None:
        """Decode the file that an earlier run kept; None where there is none, or it gives another picture."""
        path = stream_path(self.folder, image)
        if self.unit.keep_streams is None or not path.is_file():
            return None
        try:
            decoded, _ = self.decoder.decode(path)
        except CodecError:
            if self.unit.only_kept:
                raise
            return None
        return decoded if sha256_of_pixels(decoded) == stored.reconstruction_sha256 else None

    def _code(self, image: UnitImage, original: np.ndarray) -> tuple[Encoding, np.ndarray, dict[str, Any]]:
        """Encode into a file and decode from it in the other process; also returns the seconds and the file's size."""
        encoding, encode_s = time_call(self.codec.encode, original)
        path = stream_path(self.folder, image)
        with writing(path):
            path.write_bytes(encoding.stream)

        decoded, decode_s = self.decoder.decode(path)
        bytes_total = path.stat().st_size
        if self.unit.keep_streams is None:
            path.unlink()
        return encoding, decoded, {"encode_s": encode_s, "decode_s": decode_s, "bytes_total": bytes_total}


def _make_stream_folder(unit: Unit, stack: ExitStack) -> Path:
    if unit.keep_streams is None:
        with writing(tempfile.gettempdir(), "temporary files go there: set TMPDIR to another folder"):
            return stack.enter_context(temporary_folder("encoded"))
    folder = stream_folder(unit, Path(unit.keep_streams))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _warnings(image: str, values: dict[str, Any]) -> tuple[str, ...]:
    warnings = []
    if not values["decode_matches"]:
        warnings.append(f"{image}: the decoder's image differs from the encoder's own by up to"
                        f" {values['decode_max_abs_difference']}")
    if PSNR.name in values["quality_missing"]:
        warnings.append(f"{image}: {values['quality_missing'][PSNR.name]}")
    rate = rate_warning(image, values)
    return (*warnings, rate) if rate else tuple(warnings)

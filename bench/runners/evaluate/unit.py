"""A unit of work, one codec at one rate point on one dataset, as plain values; and what identifies its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import BenchError, CodecError
from bench.common.files import file_name
from bench.common.hashing import digest_json
from bench.datasets import Dataset
from bench.metrics.quality import available_metrics
from bench.results.rows import Row
from bench.runners.evaluate import DECODE_TIMEOUT_S


@dataclass(frozen=True)
class UnitImage:
    """One image: name, path, SHA-256 of the file, whether it is the catalogue's, and what else its pixels must hash to.

    See :class:`bench.datasets.ImageFile`.
    """

    name: str
    path: str
    sha256: str
    verified: bool | None = None
    pixels_sha256: str | None = None


@dataclass(frozen=True)
class Series:
    """One codec at one rate point, wherever it is measured: two measurements of a series are the same measurement.

    Attributes:
        digest: of ``values``.
        values: what identifies it.
        fault: why the codec could not be identified (an unreadable checkpoint); such a series fails.
    """

    digest: str
    values: dict[str, Any]
    fault: str | None = None


@dataclass(frozen=True)
class Unit:
    """What to measure, as plain values.

    Attributes:
        dataset_total: images in the whole set; None for a folder of the user's.
        device: "cpu" or "cuda", for codecs that run through torch.
        threads: torch's; None leaves its default.
        jobs: units that run at the same time as this one, itself included; recorded beside the times.
        keep_streams: folder to keep the encoded files in, else they are temporary.
        metrics: of quality, by name; those that can be computed here unless given.
        stored_metrics: of quality, that stored rows of the series hold: a picture that is coded anew gets them too, so
            that its row says no less than the one it supersedes.
        stored: image to its stored row, which lacks some of ``metrics`` and else stands: only these are computed, on
            what its kept file decodes to, or on what coding it again gives where that is the same picture.
        only_kept: code nothing: an image without such a file fails.
        series: what the plan identified, under whose keys all rows are stored, so that the next plan finds them; where
            the unit runs the codec must be that. None where there is no plan.
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
    metrics: tuple[str, ...] = field(default_factory=available_metrics)
    stored_metrics: tuple[str, ...] = ()
    stored: Mapping[str, Row] = field(default_factory=dict)
    only_kept: bool = False
    series: Series | None = None

    @property
    def on_device(self) -> CodecSpec:
        """The specification, with the device where the codec runs through torch."""
        if not CODECS.get(self.spec.codec).uses_torch:
            return self.spec
        return replace(self.spec, location={**self.spec.location, "device": self.device})

    @property
    def imports(self) -> Sequence[str]:
        """Modules that its codec imports and that take long to import."""
        return CODECS.get(self.spec.codec).imports(self.spec)

    @property
    def torch_options(self) -> dict[str, Any] | None:
        """Arguments of :func:`bench.runners.machine.configure_torch`; None where the codec needs no torch."""
        if not CODECS.get(self.spec.codec).uses_torch:
            return None
        return {"threads": self.threads, "deterministic": self.deterministic}


def name_images(dataset: Dataset) -> tuple[UnitImage, ...]:
    """Return the images of a dataset as units take them."""
    return tuple(UnitImage(image.name, str(image.path), image.sha256, image.verified, image.pixels_sha256)
                 for image in dataset.images)


def stream_folder(unit: Unit, root: Path) -> Path:
    """Return the folder under ``root`` that keeps the encoded files of ``unit``."""
    return root.joinpath(*map(file_name, (unit.dataset, unit.spec.name, unit.spec.point)))


def stream_path(folder: Path, image: UnitImage) -> Path:
    """Return the file in ``folder`` that an image is encoded into."""
    return folder / f"{file_name(image.name)}.bin"


LIBRARY_VERSIONS = ("codec_version", "coder")  # what of an identity names versions of libraries


def identify(spec: CodecSpec) -> Series:
    """Return the series of ``spec``.

    Raises:
        ConfigurationError: no codec of that name is registered.
    """
    values: dict[str, Any] = {
        "codec": spec.codec, "name": spec.name, "point": spec.point, "point_settings": dict(spec.point_settings),
    }
    entry = CODECS.get(spec.codec)
    fault = None
    try:
        values |= entry.identify(spec)
    except (BenchError, OSError) as error:
        fault = f"{type(error).__name__}: {error}"
        values |= {"settings": dict(spec.settings), "unidentified": True}
    return Series(digest_json(values), values, fault)


def require_same_codec(unit: Unit) -> None:
    """Check, where a unit runs, that its codec is the one that was planned.

    Raises:
        CodecError: it is another one by now or here, or can't be identified.
    """
    own = identify(unit.spec)
    planned = unit.series or own
    if fault := planned.fault or own.fault:
        raise CodecError(fault)
    if planned.digest != own.digest:
        differing = [name for name in {**planned.values, **own.values}
                     if planned.values.get(name) != own.values.get(name)]
        changes = "; ".join(f"{name} was {planned.values.get(name)!r}, is {own.values.get(name)!r}"
                            for name in differing)
        raise CodecError(f"the codec is another than when the run was planned: {changes}",
                         "run the same command again to measure what is there now")

"""What makes two measurements the same measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import BenchError
from bench.results.rows import digest
from bench.runners.machine import device_name


@dataclass(frozen=True)
class Series:
    """One codec at one rate point, wherever it is measured.

    Attributes:
        digest: of ``values``.
        values: what identifies it.
        per_device: the codec runs through torch on a chosen device, so that exactness and speed are
            properties of the device too; its name is then among ``values``.
        fault: why the codec could not be identified (an unreadable checkpoint); such a series fails.
    """

    digest: str
    values: dict[str, Any]
    per_device: bool
    fault: str | None = None


def identify(spec: CodecSpec, device: str) -> Series:
    """Return the series of ``spec`` on ``device`` ("cpu", "cuda").

    Raises:
        ConfigurationError: no codec of that name is registered.
    """
    values: dict[str, Any] = {
        "codec": spec.codec, "name": spec.name, "point": spec.point,
        "point_settings": dict(spec.point_settings),
    }
    entry = CODECS.get(spec.codec)
    fault = None
    try:
        values |= entry.identify(replace(spec, location={**spec.location, "device": device}))
    except (BenchError, OSError) as error:
        fault = f"{type(error).__name__}: {error}"
        values |= {"settings": dict(spec.settings), "unidentified": True}
    per_device = bool(values.pop("per_device", False))
    for shown in ("label", "miniature"):  # how tables call it, not what it is
        values.pop(shown, None)
    if per_device:
        values["device"] = device_name(device)
    return Series(digest(values), values, per_device, fault)


def row_key(series: str, dataset: str, image: str, image_sha256: str | None) -> str:
    """Return the key of one measurement.

    The image's name belongs to it because a folder may hold the same picture twice.
    """
    return digest({"series": series, "dataset": dataset, "image": image, "image_sha256": image_sha256})

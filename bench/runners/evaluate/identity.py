"""What makes two measurements the same measurement: all that decides a result, nothing of where it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import BenchError
from bench.common.hashing import digest_json


@dataclass(frozen=True)
class Series:
    """One codec at one rate point, wherever it is measured.

    Attributes:
        digest: of ``values``.
        values: what identifies it.
        fault: why the codec could not be identified (an unreadable checkpoint); such a series fails.
    """

    digest: str
    values: dict[str, Any]
    fault: str | None = None


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

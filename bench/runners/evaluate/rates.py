"""Rates of one file, and whether they are what the entropy model predicts."""

from __future__ import annotations

import math
from typing import Any

from bench.codecs.base import Encoding
from bench.common.errors import CodecError

# A working entropy coder is within a few per cent of its model: tables of 16-bit frequencies cost well under
# 1 %. Below the band bits are missing from the file or from the estimate; above it the tables are wrong.
LOWEST_RATIO = 0.98
HIGHEST_RATIO = 1.05
# Costs that do not grow with the image and weigh only on tiny ones: each of a dozen coder calls flushes up
# to 8 bytes. The header's bytes are known and come on top.
FLUSH_BYTES = 96


def rate_fields(encoding: Encoding, bytes_total: int, pixels: int) -> dict[str, Any]:
    """Return the row fields that tell bytes and bits per original pixel.

    Args:
        bytes_total: size of the file as it lies on the disk.
        pixels: of the original image, without padding.

    Raises:
        CodecError: the parts do not add up to the file, or the estimate is no number.
    """
    parts = dict(encoding.parts)
    if parts and sum(parts.values()) != bytes_total:
        raise CodecError(f"the parts {parts} do not add up to the file's {bytes_total} bytes")
    values: dict[str, Any] = {"bytes_total": bytes_total, "bpp": 8 * bytes_total / pixels}
    values |= {f"bytes_{part}": parts[part] for part in ("y", "z", "header") if part in parts}
    bits = encoding.estimate_bits()
    if bits is not None:
        if not math.isfinite(bits) or bits <= 0:
            raise CodecError(f"the entropy model predicts {bits} bits")
        values["bpp_estimated"] = bits / pixels
        values["actual_over_estimated"] = 8 * bytes_total / bits
    return values


def rate_warning(image: str, values: dict[str, Any]) -> str | None:
    """Return a warning that names ``image`` if its actual over estimated rate is outside the band."""
    ratio = values.get("actual_over_estimated")
    if ratio is None:
        return None
    actual = values["bytes_total"]
    estimated = actual / ratio
    highest = HIGHEST_RATIO * estimated + FLUSH_BYTES + values.get("bytes_header", 0)
    if LOWEST_RATIO * estimated <= actual <= highest:
        return None
    return (f"{image}: {actual} bytes are {ratio:.3f} times the {estimated:.0f} that the entropy model"
            f" predicts (expected {LOWEST_RATIO} to {HIGHEST_RATIO} times)")

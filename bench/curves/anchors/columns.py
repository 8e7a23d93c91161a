"""Named columns of numbers to rate points: the spellings in use, and what makes a column wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.common.errors import BenchError
from bench.curves.rd_curve import Points, Values

# Spellings by field of Points, the most specific first; compared in lower case with "-" for "_".
SPELLINGS = {
    "bpp": ("bpp",),
    "psnr_rgb_db": ("psnr-rgb-db", "psnr-rgb", "psnr-db", "psnr"),
    "ms_ssim": ("ms-ssim-rgb", "ms-ssim"),
    "ms_ssim_db": ("ms-ssim-rgb-db", "ms-ssim-db"),
    "encode_s": ("encoding-time", "encode-s"),
    "decode_s": ("decoding-time", "decode-s"),
}


def points_from_columns(columns: Mapping[str, Any], where: str) -> Points:
    """Build points from lists of numbers, which must have one length; unknown columns are passed over.

    Args:
        columns: name as written in the file to its values.
        where: what error messages call the file.

    Raises:
        BenchError: bpp or every quality is missing, or a value is impossible.
    """
    written = {str(name).strip().lower().replace("_", "-"): name for name in columns}
    found = {}
    for field_name, spellings in SPELLINGS.items():
        name = next((written[spelling] for spelling in spellings if spelling in written), None)
        if name is not None:
            found[field_name] = _numbers(columns[name], f"{where}: '{name}'")
    if "bpp" not in found or not {"psnr_rgb_db", "ms_ssim", "ms_ssim_db"} & set(found):
        raise BenchError(f"{where} has no {'quality' if 'bpp' in found else 'bpp'} values",
                         "needed are bpp and one of psnr-rgb (dB), ms-ssim-rgb (linear) and ms-ssim-rgb-db; "
                         f"found: {', '.join(map(str, columns)) or 'nothing'}")
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BenchError(f"{where}: lists differ in length: {counts}", "each rate point needs every value")
    _check_ranges(found, where)
    return Points(**found)


def _numbers(values: Any, what: str) -> Values:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise BenchError(f"{what} is not a list of numbers")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise BenchError(f"{what} holds {value!r}, which is no finite number")
    return tuple(float(value) for value in values)


def _check_ranges(found: Mapping[str, Values], where: str) -> None:
    bad = [rate for rate in found["bpp"] if rate <= 0]
    if bad:
        raise BenchError(f"{where}: bpp must be positive, but there is {bad[0]:g}")
    large = [value for value in found.get("ms_ssim", ()) if value > 1]
    if large:
        raise BenchError(f"{where}: MS-SSIM is linear here and at most 1, but there is {large[0]:g}",
                         "values in dB become linear by 1 - 10^(-dB / 10)")

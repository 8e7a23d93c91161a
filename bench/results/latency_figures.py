"""Single figures of stored latency rows: operations a pixel, peak memory, seconds of whole rounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench.results.latency_rows import LatencyRow
from bench.results.latency_selection import DIRECTIONS, Case

# Operators without a count that multiply each value a few times at most: normalisations, softmax, pooling, sums and
# sorting, interpolation. Any other may do more than all that was counted.
MINOR_OPERATORS = re.compile(
    r"aten\.(\w*(norm|softmax|pool|upsample|pad|dropout|sampler)\w*|(cum)?(sum|prod|max|min)|a(rg)?m(ax|in)|"
    r"mean|(var|std)(_mean)?|median|logsumexp|sort|topk|kthvalue|(index|scatter)_(add|reduce)|col2im|histc|bincount|"
    r"searchsorted|bucketize|unique\w*|_unique2|\w*embedding_bag\w*)")


def list_uncounted(row: LatencyRow | None) -> list[str]:
    """Return the operators without a count that may multiply much, so that ``macs`` is only a lower bound.

    Args:
        row: of one direction; None where it was not measured.
    """
    return [] if row is None else sorted(name for name in row.uncounted if not MINOR_OPERATORS.fullmatch(name))


def kmac_per_pixel(row: LatencyRow | None) -> float | None:
    """Thousands of multiply-accumulates for each original pixel of one direction.

    Args:
        row: of one direction; None where it was not measured.

    Returns:
        kMAC/pixel, or None where nothing was counted.
    """
    return None if row is None or row.macs is None else _for_each_pixel(row.macs, row)


def _for_each_pixel(macs: int, row: LatencyRow) -> float:
    return macs / (row.width * row.height * row.batch) / 1000


def forward_kmac_per_pixel(case: Case) -> float | None:
    """Thousands of multiply-accumulates for each original pixel of a forward pass of the published code.

    That is the encoder's transforms and a decoding, with the attention whose result nothing reads, which this suite's
    models leave out. None where transforms don't run under their published names.
    """
    encode, decode = (case.measured(direction) for direction in DIRECTIONS)
    if encode is None or decode is None or decode.macs is None or decode.skipped_macs is None:
        return None
    if not {"g_a", "h_a"} <= set(encode.module_macs):
        return None
    macs = decode.macs + decode.skipped_macs + encode.module_macs["g_a"] + encode.module_macs["h_a"]
    return _for_each_pixel(macs, decode)


def peak_bytes(case: Case) -> int | None:
    """The larger peak of both directions.

    Args:
        case: both directions of a variant.

    Returns:
        Bytes that tensors took at most, or None where that was not measured.
    """
    return find_largest(row.peak_alloc_bytes for row in case.measured_rows)


def find_largest(values: Iterable[int | None]) -> int | None:
    """The largest of the known values, or None."""
    return max((value for value in values if value is not None), default=None)


def round_seconds(rows: Sequence[LatencyRow]) -> list[float]:
    """Seconds of each round, of all ``rows`` together: directions of one variant in one session.

    Args:
        rows: directions of one variant in one session.

    Returns:
        Seconds, (rounds,); rounds that one direction lacks are left out.
    """
    return list(map(sum, zip(*(row.samples_s for row in rows))))

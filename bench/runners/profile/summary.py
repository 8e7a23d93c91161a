"""What a profile gave, for the terminal: one line a variant, configuration and shape, then what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

from bench.common.text import align
from bench.metrics.statistics.timing import summarise_times
from bench.results.latency_figures import kmac_per_pixel
from bench.results.latency_rows import DECODE, ENCODE, LatencyRow
from bench.results.rows import OK

_COLUMNS = ("variant", "configuration", "shape", "encode ms (p10 to p90)", "decode ms (p10 to p90)", "n", "bpp",
            "exact", "decode peak MB", "kMAC/px enc", "dec")


def summarise_rows(rows: Sequence[LatencyRow]) -> str:
    """Return the table of what was measured, and every failure and warning once."""
    pairs: dict[tuple[str, ...], dict[str, LatencyRow]] = {}
    for row in rows:
        if row.status == OK:
            pairs.setdefault((row.name, row.configuration, f"{row.width}x{row.height}"), {})[row.direction] = row
    lines = align([_COLUMNS, *((*key, *_cells(pair)) for key, pair in pairs.items())], left=3)
    failures = dict.fromkeys(f"{row.name} ({row.configuration}) {row.width}x{row.height} {row.status}: {row.reason}"
                             for row in rows if row.status != OK)
    warnings = dict.fromkeys(text for row in rows for text in row.state.get("warnings", ()))
    streams = dict.fromkeys(f"{row.name} ({row.configuration}) writes other bytes than the default configuration"
                            for row in rows if row.changes_stream)
    return "\n".join([*lines, *(f"failed: {text}" for text in failures), *(f"warning: {text}" for text in warnings),
                      *(f"note: {text}" for text in streams)])


def _cells(pair: dict[str, LatencyRow]) -> tuple[str, ...]:
    encode, decode = pair.get(ENCODE), pair.get(DECODE)
    row = decode or encode
    return (
        _milliseconds(encode), _milliseconds(decode), str(len(row.samples_s)),
        "" if row.bpp is None else f"{row.bpp:.2f}", "yes" if row.decode_matches else "NO",
        "" if row.peak_alloc_bytes is None else f"{row.peak_alloc_bytes / 1e6:.0f}",
        *("" if kmac is None else f"{kmac:.1f}" for kmac in map(kmac_per_pixel, (encode, decode))),
    )


def _milliseconds(row: LatencyRow | None) -> str:
    if row is None:
        return ""
    found = summarise_times(row.samples_s)
    return " ".join((f"{1000 * found.median:.4g}", f"({1000 * found.p10:.4g} to {1000 * found.p90:.4g})"))

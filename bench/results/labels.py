"""How reports call each codec, and what has to be said of a miniature."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import msgspec

from bench.results.crosschecks import Crosscheck
from bench.results.latency_rows import LatencyRow
from bench.results.reproductions import Reproduction
from bench.results.row_selection import Selection
from bench.results.rows import Row

BASE_MINIATURE = "hpcm_base_mini"  # the miniature that others are compared with
SEED_MINIATURES = re.compile(r"hpcm_base_seed\d+_mini")  # the same from other seeds
MINIATURE_NOTE = (
    "Models marked \"miniature\" are small models trained on a CPU to show the whole path from weights to "
    "bitstreams; they are not the authors' models and say nothing about them."
)


def label_codecs(rows: Iterable[Row | LatencyRow | Reproduction | Crosscheck]) -> dict[str, str]:
    """Return what tables and plots call each codec, by name: unique, and saying "miniature" where the model is one.

    Args:
        rows: of any kind, of one dataset or device.

    Returns:
        Name to label.
    """
    labels = {row.name: mark_miniature(row.label, row.miniature) for row in rows}
    used = list(labels.values())
    return {name: label if used.count(label) == 1 else f"{label} [{name}]" for name, label in labels.items()}


def label_selection(selection: Selection) -> Selection:
    """Return ``selection`` with rows that are labelled as reports call their codecs."""
    labels = label_codecs(selection.rows)
    choices = (replace(choice, rows=tuple(msgspec.structs.replace(row, label=labels[choice.name])
                                          for row in choice.rows)) for choice in selection.choices)
    return replace(selection, choices=tuple(choices))


def mark_miniature(label: str, miniature: bool) -> str:
    """Return ``label``, saying "miniature" where the model is one.

    >>> mark_miniature("HPCM-Base", miniature=True)
    'HPCM-Base (miniature)'
    """
    return f"{label} (miniature)" if miniature and "miniature" not in label.lower() else label

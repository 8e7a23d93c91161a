"""The entropy coder's tables of a model: the same integers on every machine, or those of older files.

What decides an entry is computed in float32 in the published order, with operations that IEEE 754 fixes and functions
that are correctly rounded (:mod:`bench.models.rounding`); the rest is integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.common.import_paths import find_imported, import_alone
from bench.models.rounding import Array, exp, log
from bench.operators.rans import CodingTables

pmf_to_quantized_cdf = import_alone("compressai._CXX").pmf_to_quantized_cdf

PRECISION = 16
LEGACY, CANONICAL = 1, 2  # versions of a learned codec's files


def use_tables(model: Any, version: int = CANONICAL) -> None:
    """Build the coder's tables of a model from its weights, for files of a format version.

    The suite's own models and CompressAI's entropy models get tables that are the same on every machine; an entropy
    model with a likelihood of its own keeps those that its ``update`` builds.

    Args:
        model: in place: with a ``use_tables`` of its own, or with CompressAI's ``update``; others are left alone.
        version: of the files: 2, or 1 for the tables that a file of version 1 was coded with on a machine like this.

    Raises:
        CheckpointError: a channel of one of CompressAI's entropy models has more symbols than a table holds.
    """
    if own := getattr(model, "use_tables", None):
        own(version)
        return

    has_entropy_models = bool(find_imported("compressai.entropy_models", "EntropyModel"))
    if has_entropy_models:
        from bench.models.compressai_tables import refuse_wide_channels, replace_tables

        refuse_wide_channels(model)
    if update := getattr(model, "update", None):
        update(force=True)
    if has_entropy_models and version != LEGACY:
        replace_tables(model)


def pack_tables(masses: Sequence[Array], offsets: Sequence[int], precision: int = PRECISION) -> CodingTables:
    """Quantise probabilities, by CompressAI's rule, and bring them to one table.

    Args:
        masses: of each row's symbols and of the escape, float32.
        offsets: the symbol that each row starts at.
        precision: bits of a quantised probability.

    Returns:
        A row for each of ``masses``.
    """
    rows = [pmf_to_quantized_cdf(mass.tolist(), precision) for mass in masses]
    lengths = [len(row) for row in rows]

    cdf = np.zeros((len(rows), max(lengths)), np.int32)
    for line, row in zip(cdf, rows):
        line[: len(row)] = row
    return CodingTables(torch.from_numpy(cdf), torch.tensor(lengths, dtype=torch.int32),
                        torch.tensor(offsets, dtype=torch.int32))


def space_scales(low: float, high: float, levels: int) -> Tensor:
    """Space scales logarithmically, as ``exp(linspace(log(low), log(high), levels))`` with a fused multiply-add.

    That is what torch gives on CPUs with vector units; the published tables were made so.

    Args:
        low, high: the first and the last scale.
        levels: their number.

    Returns:
        float32 (levels,).
    """
    first, last = log(np.array([low, high]))
    step = np.float64((last - first) / np.float32(levels - 1))

    numbers = np.arange(levels)
    upwards = (np.float64(first) + step * numbers).astype(np.float32)
    downwards = (np.float64(last) - step * (levels - 1 - numbers)).astype(np.float32)
    return torch.from_numpy(exp(np.where(numbers < levels // 2, upwards, downwards)))

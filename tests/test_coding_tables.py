"""The coder's tables: alike under other vector units and libraries, near the exact ones, and those of older files."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from built_tables import TwoModels, build_tables, digest_tables
from compressai._CXX import pmf_to_quantized_cdf
from compressai.entropy_models import EntropyBottleneck
from compressai.models.base import get_scale_table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from bench.models.coding_tables import CANONICAL, LEGACY, pack_tables, space_scales, use_tables
from bench.models.entropy import BETA, TAIL, GeneralisedGaussian, scale_table
from tests.reference_models import fill, manifest
from tests.tiny_models import tiny_model

FOLDER = Path(__file__).parent
# No vectors in torch, in numpy, or in the C library's functions.
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX",
         "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"}
HALF = mpmath.mpf("0.5")


@cache
def built_elsewhere() -> dict[str, Any]:
    """What a process without vector units builds."""
    environment = {**os.environ, **PLAIN, "PYTHONPATH": f"{FOLDER.parent}{os.pathsep}{FOLDER}"}
    run = subprocess.run([sys.executable, FOLDER / "built_tables.py"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_tables_are_the_same_without_vector_units() -> None:
    assert built_elsewhere()["capability"] == "DEFAULT"
    assert built_elsewhere()["canonical"] == digest_tables(legacy=False)


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="there are no vector units here")
def test_tables_of_version_1_are_those_of_a_machine() -> None:
    assert built_elsewhere()["scales"] != scale_table(legacy=True).tolist()
    assert built_elsewhere()["legacy"]["y"] != digest_tables(legacy=True)["y"]


def quantise(masses: list[mpmath.mpf]) -> list[int]:
    """CompressAI's rule in whole numbers."""
    counts = [int(mpmath.floor(mass * 65536 + HALF)) for mass in masses]
    total, widths = sum(counts), []
    for count in counts:
        widths.append(count * 65536 // total)
    widths[-1] += 65536 - sum(widths)

    for number, width in enumerate(widths):
        if width == 0:
            giver = min((i for i, other in enumerate(widths) if other > 1), key=lambda i: widths[i])
            widths[giver] -= 1
            widths[number] = 1
    return [0, *np.cumsum(widths).tolist()]


def tabulate_exactly(scale: float, widest: int, distribution: Callable[[mpmath.mpf], mpmath.mpf]) -> list[int]:
    """A row of the family's tables without rounding before the last step."""
    centre = math.ceil(scale * TAIL)
    edges = [distribution((k - HALF) / scale) for k in range(-centre, centre + 2)]
    escape = edges[0] + 1 - distribution((widest - centre + HALF) / scale)
    return quantise([*(b - a for a, b in zip(edges, edges[1:])), escape])


def integrate_generalised(t: mpmath.mpf) -> mpmath.mpf:
    inside = mpmath.gammainc(mpmath.mpf(2) / 3, 0, abs(t) ** mpmath.mpf("1.5"), regularized=True)
    return (1 + mpmath.sign(t) * inside) / 2


@settings(derandomize=True, max_examples=30, deadline=None, database=None)
@given(st.lists(st.floats(0.125, 12, width=32), min_size=1, max_size=4))
def test_tables_are_near_the_exact_ones(scales: list[float]) -> None:
    tables = GeneralisedGaussian().tables(torch.tensor(scales))
    widest = int(tables.lengths.max()) - 3
    for scale, row, length in zip(scales, tables.cdf.tolist(), tables.lengths.tolist()):
        exact = tabulate_exactly(scale, widest, integrate_generalised)
        assert len(exact) == length
        assert np.abs(np.array(exact) - row[:length]).max() <= length  # each entry may be rounded the other way


@pytest.mark.parametrize("name", ["y", "z", "gaussian", "bottleneck"])
def test_rows_are_complete_and_increasing(name: str) -> None:
    tables = build_tables()[name]
    assert all(table.dtype == torch.int32 for table in tables)
    for row, length in zip(tables.cdf, tables.lengths):
        assert row[0] == 0 and row[length - 1] == 65536
        assert (row[:length].diff() > 0).all() and (row[length:] == 0).all()


@pytest.mark.parametrize("name", ["y", "z", "gaussian"])
def test_rows_are_symmetric_but_for_what_narrow_entries_took(name: str) -> None:
    tables = build_tables()[name]
    for row, length in zip(tables.cdf, tables.lengths):
        widths = row[:length].diff()[:-1]
        narrow = int((row[:length].diff() == 1).sum())  # with the escape
        assert (widths - widths.flip(0)).abs().max() <= narrow


def test_tables_of_z_are_the_recorded_ones() -> None:
    figures = manifest("hpcm_base")
    [entry] = [entry for entry in figures["parameters"] if entry["name"] == "scales_hyper"]
    recorded = figures["bitstream"]["cdf_tables_z"]
    model = torch.nn.Module()
    model.scales_hyper = torch.nn.Parameter(torch.ones(entry["shape"]))
    fill(model, {**figures, "parameters": [entry]})
    tables = GeneralisedGaussian().tables(model.scales_hyper.flatten())
    assert list(tables.cdf.shape) == recorded["shape"] and int(tables.cdf.sum()) == recorded["total"]
    assert tables.cdf[0, : tables.lengths[0]].tolist() == recorded["row_0"]


def test_usual_scales_are_torchs_but_for_the_last_bits() -> None:
    np.testing.assert_allclose(space_scales(0.11, 256, 64), get_scale_table(), rtol=1e-6)
    np.testing.assert_allclose(space_scales(0.12, 64, 60), np.geomspace(0.12, 64, 60), rtol=1e-6)


def test_tables_of_gaussians_hold_their_masses() -> None:
    tables = build_tables()["gaussian"]
    for scale, row, length, offset in zip(space_scales(0.11, 256, 64).tolist(), *(table.tolist() for table in tables)):
        assert offset == -math.ceil(scale * norm.isf(5e-10)) and length == 3 - 2 * offset
        edges = (np.arange(offset, 2 - offset) - 0.5) / scale
        np.testing.assert_allclose(np.diff(row[: length - 1]) / 65536, np.diff(norm.cdf(edges)), atol=length / 65536)


def test_tables_of_bottlenecks_hold_their_masses() -> None:
    model = TwoModels(channels=20).double()
    use_tables(model)
    part = model.bottleneck
    longest = int(part._cdf_length.max()) - 2
    with torch.no_grad():
        x = torch.arange(longest) + (part._offset + part.quantiles[:, 0, 1])[:, None, None]
        masses, lower, upper = part._likelihood(x)
        escape = torch.sigmoid(lower[:, 0, 0]) + torch.sigmoid(-upper[:, 0, -1])

    for row, length, mass, beyond in zip(part._quantized_cdf, part._cdf_length, masses[:, 0], escape):
        expected = torch.cat((mass[: length - 2], beyond[None]))
        np.testing.assert_allclose(row[:length].diff() / 65536, expected / expected.sum(), atol=int(length) / 65536)


def tabulate_as_published(scales: torch.Tensor) -> list[list[int]]:
    """Rows of the family's tables, with this machine's own functions."""
    def integrate(t: torch.Tensor) -> torch.Tensor:
        beta = torch.full_like(t, BETA)
        return (1 + t.sign() * torch.special.gammainc(1 / beta, t.abs() ** torch.tensor([BETA]))) / 2

    centres, rows = [math.ceil(float(scale) * TAIL) for scale in scales], []
    for centre, scale in zip(centres, scales):
        k = torch.arange(-centre, centre + 1)
        escape = integrate((-centre - 0.5) / scale) + (1 - integrate((2 * max(centres) - centre + 0.5) / scale))
        masses = [*(integrate((k + 0.5) / scale) - integrate((k - 0.5) / scale)), escape]
        rows.append(pmf_to_quantized_cdf([float(mass) for mass in masses], 16))
    return rows


def test_tables_of_version_1_are_those_that_the_published_construction_gives() -> None:
    model = tiny_model()
    model.use_tables(LEGACY)
    scales = torch.exp(torch.linspace(math.log(0.12), math.log(64), 60))
    assert torch.equal(model.scale_table, scales)

    for name, levels in (("y", scales), ("z", model.scales_hyper.detach().flatten())):
        tables = model.tables(name)
        for row, expected in zip(tables.cdf, tabulate_as_published(levels), strict=True):
            assert row[: len(expected)].tolist() == expected

    model.use_tables(CANONICAL)
    assert torch.equal(model.scale_table, scale_table())


def test_tables_of_version_1_are_compressais_own() -> None:
    model, own = TwoModels(), TwoModels()
    own.update(force=True)
    use_tables(model, LEGACY)
    for (name, ours), theirs in zip(model.named_buffers(), own.buffers()):
        assert torch.equal(ours, theirs), name


class Widened(EntropyBottleneck):
    """A factorised model with a likelihood of its own."""

    def _likelihood(self, inputs: torch.Tensor, stop_gradient: bool = False) -> Any:
        return super()._likelihood(inputs / 2, stop_gradient)


def test_likelihoods_of_others_keep_their_tables() -> None:
    model, own = TwoModels(), TwoModels()
    for each in (model, own):
        each.bottleneck.__class__ = Widened
    own.update(force=True)
    use_tables(model)
    assert torch.equal(model.bottleneck._quantized_cdf, own.bottleneck._quantized_cdf)


def test_scales_of_others_are_kept() -> None:
    model, scales = TwoModels(), torch.tensor([0.11, 0.5, 2.0, 9.0])
    model.update = lambda force: TwoModels.update(model, scales, force)
    use_tables(model)
    assert torch.equal(model.gaussian.scale_table, scales)
    assert len(model.gaussian._quantized_cdf) == len(scales)


def test_models_with_equal_scales_share_no_table() -> None:
    first, second = TwoModels(), TwoModels(seed=1)
    for each in (first, second):
        use_tables(each)
    before = second.gaussian._quantized_cdf.clone()
    first.gaussian._quantized_cdf.zero_()
    assert torch.equal(second.gaussian._quantized_cdf, before) and before.any()


def test_models_without_tables_are_left_alone() -> None:
    use_tables(torch.nn.Linear(2, 2))


def test_quantising_is_the_published_rule() -> None:
    random = np.random.default_rng(3)
    masses = [random.dirichlet(np.full(size, 0.2)).astype(np.float32) for size in (2, 5, 40, 300)]
    tables = pack_tables(masses, [0, -1, -2, -3])
    assert tables.offsets.tolist() == [0, -1, -2, -3]
    for mass, row, length in zip(masses, tables.cdf.tolist(), tables.lengths):
        assert row[:length] == quantise([mpmath.mpf(float(value)) for value in mass])

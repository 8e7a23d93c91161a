"""The entropy model against scipy's generalised normal distribution, and its tables against recorded ones."""

import numpy as np
import pytest
import torch
from scipy.stats import gennorm

from bench.models.entropy import BETA, TAIL, Cumulative, GeneralisedGaussian, scale_index, scale_table
from bench.operators import rans
from tests.reference_models import manifest


def test_likelihood_is_the_mass_of_the_unit_interval():
    model = GeneralisedGaussian().double()
    values = torch.arange(-6.0, 7).double()
    for scale in (0.2, 0.7, 1.0, 3.5, 40.0):
        expected = gennorm.cdf((values + 0.5) / scale, BETA) - gennorm.cdf((values - 0.5) / scale, BETA)
        likelihood = model(values, torch.full_like(values, scale)).numpy()
        np.testing.assert_allclose(likelihood, np.maximum(expected, np.float32(1e-9)), rtol=1e-8)


def test_scales_and_likelihoods_are_bounded_below():
    model = GeneralisedGaussian()
    assert float(model(torch.zeros(1), torch.tensor([-3.0]))) == float(model(torch.zeros(1), torch.tensor([0.12])))
    assert float(model(torch.full((1,), 500.0), torch.ones(1))) == pytest.approx(1e-9)


def test_gradient_is_that_of_the_distribution():
    model = GeneralisedGaussian().double()
    t = torch.linspace(-3, 3, 25).double().requires_grad_()
    assert torch.autograd.gradcheck(Cumulative.apply, (t, model.beta))
    density = torch.autograd.grad(Cumulative.apply(t, model.beta).sum(), t)[0]
    np.testing.assert_allclose(density.numpy(), gennorm.pdf(t.detach().numpy(), BETA), rtol=1e-10)


def test_lower_bounds_let_gradients_through_that_lead_back():
    model = GeneralisedGaussian()
    scale = torch.tensor([0.05], requires_grad=True)
    model(torch.tensor([2.0]), scale).log().neg().sum().backward()  # a larger scale costs fewer bits
    assert scale.grad < 0
    scale = torch.tensor([0.05], requires_grad=True)
    model(torch.tensor([0.0]), scale).log().neg().sum().backward()  # a smaller scale would, but is bounded
    assert scale.grad == 0


def test_tail_leaves_five_in_ten_million():
    assert gennorm.sf(TAIL, BETA) == pytest.approx(5e-7, rel=1e-6)


def test_tables_of_y_are_the_recorded_ones():
    recorded = manifest("hpcm_base")["bitstream"]["cdf_tables_y"]
    levels = scale_table()
    assert levels[:3].tolist() == recorded["scale_table_first"]
    assert levels[-3:].tolist() == recorded["scale_table_last"]
    tables = GeneralisedGaussian().tables(levels)
    assert list(tables.cdf.shape) == recorded["shape"]
    assert tables.lengths.tolist() == recorded["cdf_length"] and tables.offsets.tolist() == recorded["offset"]
    assert tables.cdf.sum(1).tolist() == recorded["row_sums"]
    for row in (0, 10, 25):
        assert tables.cdf[row, : tables.lengths[row]].tolist() == recorded[f"row_{row}"]


def test_tables_are_increasing_and_complete():
    tables = GeneralisedGaussian().tables(torch.tensor([0.01, 0.3, 5.0, 64.0]))
    for row, length in zip(tables.cdf, tables.lengths):
        steps = row[:length].diff()
        assert row[0] == 0 and row[length - 1] == 65536 and (steps > 0).all()
        assert (row[length:] == 0).all()


def test_table_row_counts_strictly_smaller_levels():
    levels = scale_table()
    scales = torch.cat((levels, levels * 1.0001, torch.tensor([-1.0, 0.0, 1e6])))
    expected = [min(int((levels[:59] < scale).sum()), 59) for scale in scales]
    assert scale_index(scales, levels).tolist() == expected


@pytest.mark.parametrize("spread", [0.3, 4.0, 300.0])  # the last needs escapes
def test_coder_is_lossless_and_near_its_estimate(spread):
    torch.manual_seed(0)
    model, levels = GeneralisedGaussian(), scale_table()
    tables = model.tables(levels)
    rows = torch.randint(0, 60, (5000,))
    drawn = gennorm.rvs(BETA, scale=np.minimum(levels[rows].numpy(), spread), random_state=1)
    symbols = torch.from_numpy(drawn).round()
    if spread > 100:
        symbols[::50] = symbols[::50] * 40 + 3
    stream = rans.encode(symbols, rows, tables)
    assert len(stream) % 4 == 0
    assert torch.equal(rans.Decoder(stream, tables).decode(rows), symbols.int())
    if spread < 100:
        bits = -model(symbols.float(), levels[rows]).log2().sum()
        assert 8 * len(stream) == pytest.approx(float(bits), rel=0.02, abs=128)

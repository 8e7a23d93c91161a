"""Losses of training: recorded figures, the exact split of the rate over scales, and what has no such split."""

import numpy as np
import pytest
import torch
from pytorch_msssim import ms_ssim
from torch import nn

from bench.common.errors import ConfigurationError
from bench.models import create_model
from bench.models.coders import choose_best
from bench.models.context import HierarchicalContext
from bench.training.losses import (
    has_three_scales,
    rate_distortion,
    scale_positions,
    scale_rates,
)
from tests.tiny_models import TINY, tiny_model
from tests.toy_tasks import REFERENCE, agrees

CPU = torch.device("cpu")
# Cells, (row mod 4, column mod 4), that scales 1 and 2 code in each eighth of the channels; scale 3 codes the rest.
SCALE_1 = ["00", "11", "03", "12", "20", "31", "23", "32"]
SCALE_2 = ["02 20 22", "13 31 33", "01 21 23", "10 30 32", "00 02 22", "11 13 33", "01 03 21", "10 12 30"]


def scale_of(channels, height, width):
    """The scale, 0 to 2, of every latent, by the table."""
    scales = np.full((channels, height, width), 2)
    for channel in range(channels):
        eighth = channel // (channels // 8)
        for number, table in enumerate((SCALE_1, SCALE_2)):
            for row, column in table[eighth].split():
                scales[channel, int(row) :: 4, int(column) :: 4] = number
    return scales


def output_of(seed, channels=8, batch=2):
    random = np.random.default_rng(seed)
    shapes = {"y": (batch, channels, 8, 12), "z": (batch, 4, 2, 3)}
    return {"likelihoods": {name: torch.from_numpy(random.uniform(0.01, 1, shape)) for name, shape in shapes.items()}}


def published_shares(losses, of_distortion=(0.40, 0.35, 0.25), of_rate=(0.30, 0.40, 0.30)):
    """The five tasks of LIC-HPCM-Balanced's phase 3: fixed shares of two totals, which measure no scale, so that they
    balance nothing but distortion and rate. λ MSE is without its 255², and its third share is dropped."""
    distortion = losses.distortion / 255**2
    return [of_distortion[0] * distortion, of_rate[0] * losses.bpp, of_distortion[1] * distortion,
            of_rate[1] * losses.bpp, of_rate[2] * losses.bpp]


@pytest.mark.parametrize("case", REFERENCE["losses"], ids=lambda case: str(case["seed"]))
def test_recorded_losses(case):
    random = np.random.Generator(np.random.Philox(key=case["seed"]))
    target = random.random((2, 3, 8, 8))
    drawn = {"x_hat": target + 0.05 * random.standard_normal(target.shape), "likelihoods": {
        "y": random.uniform(0.01, 1, (2, 4, 2, 2)), "z": random.uniform(0.01, 1, (2, 3, 1, 1))}}
    output = {"x_hat": torch.from_numpy(drawn["x_hat"]),
              "likelihoods": {name: torch.from_numpy(values) for name, values in drawn["likelihoods"].items()}}
    losses, figures = rate_distortion(output, torch.from_numpy(target), case["lambda"]), case["rate_distortion"]
    agrees([losses.bpp, losses.mse, losses.distortion, losses.total],
           [figures[name] for name in ("bpp_loss", "mse_loss", "distortion", "loss")])
    agrees(-10 * np.log10(losses.mse.item()), figures["psnr"])
    assert losses.pixels == 2 * 8 * 8
    for name in ("y", "z"):
        agrees(-np.log2(drawn["likelihoods"][name]).sum() / losses.pixels, figures[f"{name}_bpp"])

    # As published: five fixed shares of two totals, which lack a quarter of the distortion and its 255².
    tasks = published_shares(losses)
    agrees(tasks, case["hierarchical_tasks"])
    agrees(losses.distortion / 255**2 + losses.bpp, case["hierarchical_total"])
    agrees(sum(tasks), 0.75 * case["lambda"] * losses.mse + losses.bpp)
    starts = [np.exp(start) / np.exp(start).sum() for start in ((0.4, 0.35, 0.25), (0.3, 0.4, 0.3))]
    agrees(starts[0], case["adaptive_distortion_shares"])
    agrees(starts[1], case["adaptive_rate_shares"])
    agrees(published_shares(losses, *starts), case["adaptive_hierarchical_tasks"])


@pytest.mark.parametrize("shape", [(8, 4, 4), (16, 8, 12), (24, 12, 8)])
def test_scales_are_those_of_the_table_and_a_partition(shape):
    positions = scale_positions(shape[0], 1, *shape[1:], CPU)
    table = scale_of(*shape).flatten()
    for number, where in enumerate(positions):
        assert (table[where.numpy()] == number).all()
        assert len(where) == (table == number).sum() == table.size * (1, 3, 12)[number] // 16
    assert torch.equal(torch.cat(positions).sort().values, torch.arange(table.size))


@pytest.mark.parametrize(("name", "planes"), [("hpcm_base", 1), ("multiref_phase2", 1), ("rwkv_phase1", 1),
                                              ("weconv_phase1", 4)])
def test_the_rate_is_split_exactly(name, planes):
    """Against the table, plane by plane; the parts add up to the rate of the loss."""
    model, output = create_model(name, **TINY), output_of(5, 8 * planes)
    x = torch.zeros(2, 3, 32, 48)
    losses = rate_distortion({**output, "x_hat": x}, x, 0.01)
    rates = scale_rates(model, output, losses.pixels)
    bits = -np.log2(output["likelihoods"]["y"].numpy()).reshape(2, planes, 8, 8, 12)
    expected = [bits[:, :, scale_of(8, 8, 12) == number].sum() / losses.pixels for number in range(3)]
    agrees([rates["s1"], rates["s2"], rates["s3"]], expected)
    agrees(rates["z"], -np.log2(output["likelihoods"]["z"].numpy()).sum() / losses.pixels)
    assert list(rates) == ["s1", "s2", "s3", "z"]
    agrees(sum(rates.values()), losses.bpp, 1e-12)


@pytest.mark.parametrize("name", ["hpcm_base", "multiref_phase1", "rwkv_phase2", "weconv_phase4"])
def test_a_likelihood_counts_where_its_latent_is_coded(name):
    """Real models, asked step by step: what the coder is given at a scale is what that scale's rate counts."""
    torch.manual_seed(0)
    options = {"stages": [[8, 1], [8, 2]], "attention_heads": 2} if name.startswith("weconv") else {}
    model = create_model(name, **{**TINY, **options}).eval()
    sources = [[], [], []]

    class Coder:
        """Tells the scale of a step from the number of the step in its plane: 2, then 3, then 6."""

        steps = 0

        def code(self, source, scales, means):
            sources[(0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2)[self.steps % 11]].append(source)
            self.steps += 1
            return means

        def choose(self, scores, count):
            return choose_best(scores, count)

        def adjust(self, function):
            pass

    x = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        output = model(x)
        y = model.analysis(x)
        model.code_latents(model.hyper_synthesis(model.hyper_analysis(y)), Coder())
    rates = scale_rates(model, output, 256 * 256)
    bits = -output["likelihoods"]["y"].log2().flatten()
    for number, source in enumerate(sources):
        agrees(rates[f"s{number + 1}"], bits[torch.cat(source)].sum() / 256**2, 1e-5)
    assert len(torch.cat(sum(sources, []))) == len(bits)


def test_gradients_of_the_parts_add_up_to_that_of_the_rate():
    model = tiny_model().train()
    torch.manual_seed(0)
    x = torch.rand(1, 3, 64, 64)
    output = model(x)
    losses = rate_distortion(output, x, 0.01)
    weight = model.g_a.branch[-1].weight
    rates = scale_rates(model, output, losses.pixels)
    parts = [torch.autograd.grad(rate, weight, retain_graph=True)[0] for rate in rates.values()]
    assert all(part.abs().max() > 0 for part in parts)
    (whole,) = torch.autograd.grad(losses.bpp, weight)
    torch.testing.assert_close(sum(parts), whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("build", [
    lambda: create_model("weconv_phase5", **{**TINY, "stages": [[8, 1], [8, 2]], "attention_heads": 2}),
    lambda: nn.Conv2d(3, 3, 1),
    lambda: create_model("compressai:mbt2018-mean", quality=1),
])
def test_models_without_three_scales_are_refused(build):
    model = build()
    assert not has_three_scales(model)
    with pytest.raises(ConfigurationError, match="three scales"):
        scale_rates(model, output_of(0), 100)


def test_a_walk_of_its_own_has_no_three_scales_and_other_hooks_keep_them():
    class OtherHook(HierarchicalContext):
        def next_context(self, *args):
            return super().next_context(*args)

    class OtherWalk(HierarchicalContext):
        def walk(self, *args):
            return super().walk(*args)

    assert [has_three_scales(kind()) for kind in (OtherHook, OtherWalk)] == [True, False]


def test_ms_ssim_weighs_one_minus_it():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 176, 164)
    x_hat = (x + 0.1 * torch.randn_like(x)).requires_grad_()
    losses = rate_distortion({"x_hat": x_hat, "likelihoods": {"y": torch.full((1, 8, 4, 4), 0.5)}}, x, 8.73, "ms-ssim")
    quality = ms_ssim(x_hat, x, data_range=1)
    agrees(losses.distortion.item(), 8.73 * (1 - quality.item()), 1e-6)
    agrees(losses.mse.item(), ((x_hat - x) ** 2).mean().item(), 1e-7)
    agrees(losses.bpp, 128 / (176 * 164), 1e-9)
    assert 0.001 < losses.distortion / 8.73 < 0.5
    losses.total.backward()
    assert x_hat.grad.isfinite().all() and x_hat.grad.abs().max() > 0


def test_unknown_metrics_and_crops_too_small_are_refused():
    x = torch.rand(1, 3, 160, 256)
    output = {"x_hat": x, "likelihoods": {"y": torch.full((1, 8, 4, 4), 0.5)}}
    with pytest.raises(ConfigurationError, match="256x160"):
        rate_distortion(output, x, 2.4, "ms-ssim")
    with pytest.raises(ConfigurationError, match="ms-ssim"):
        rate_distortion(output, x, 2.4, "ms_ssim")

"""The RWKV phases give the published code's figures in float64, and code real bitstreams."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import pytest
import tiny_models
import torch
from second_process import measure_with_second_process

from bench.common.errors import CheckpointError, ConfigurationError
from bench.models import create_model, hyperprior
from bench.models.checkpoints import load_weights, read_weights
from bench.models.coders import Quantiser
from bench.models.rwkv_layers import MERGED, MixingBlock, OmniShift, PreNormBlock, SpatialMix
from bench.results.rows import OK
from tests.reference_models import fill, manifest, picture

CLOSE = 1e-9
PHASES = ["rwkv_phase1", "rwkv_phase2", "rwkv_phase3", "rwkv_phase4"]
VECTORS = 9600  # values in the ten adaptive vectors, which the published code does not register
KEYS = {"rwkv_phase1": 301, "rwkv_phase2": 343, "rwkv_phase3": 393, "rwkv_phase4": 545}
# Published counts of each replaced module, merged kernels included: hidden rates 2, 3, 4, and the base's own.
CELLS = {"attn_s1": 4_998_408, "attn_s2": 5_817_608, "attn_s3": 6_636_808}
COUNTS = {
    "rwkv_phase1": {"attn_s1": 1_640_960, "attn_s3": CELLS["attn_s3"], "context_net.0": 410_240},
    "rwkv_phase2": {**CELLS, "context_net.1": 410_240, "y_spatial_prior_s3": 19_109_440},
    "rwkv_phase3": {**CELLS, "context_net.0": 5_816_968, "context_net.1": 5_816_968,
                    "y_spatial_prior_s1_s2": 11_711_680},
    "rwkv_phase4": {**CELLS, "context_net.1": 5_816_968, "y_spatial_prior_s1_s2": 36_926_104,
                    "y_spatial_prior_s3": 61_133_480},
}
TINY = tiny_models.TINY  # latents at a quarter of the image, padding to 64


def close(value: float):
    return pytest.approx(value, rel=CLOSE, abs=1e-12)


def tiny(name: str, seed: int = 0, **options):
    """A miniature whose streams hold more than zeros."""
    torch.manual_seed(seed)
    model = create_model(name, **{**TINY, **options}).eval()
    with torch.no_grad():
        model.g_a.branch[-1].weight.mul_(5)
        model.h_a.branch[-1].weight.mul_(2)
        for prior in (model.y_spatial_prior_s1_s2, model.y_spatial_prior_s3):
            prior.branch_2[-1].bias[: model.M].add_(2)
    model.update()
    return model


def published(figures: dict) -> dict:
    """The figures without the merged kernels, which no model of ours has as parameters."""
    return {**figures, "parameters": [e for e in figures["parameters"] if not e["name"].endswith(MERGED)]}


class Recorder(Quantiser):
    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.coded: list[torch.Tensor] = []
        Recorder.last = self

    def code(self, source, scales, means):
        self.coded.append(super().code(source, scales, means))
        return self.coded[-1]


@functools.lru_cache(maxsize=4)
def measured(name: str) -> SimpleNamespace:
    """What one float64 pass gives, NaN in every merged kernel of the state dict that was loaded."""
    figures = manifest(name)
    model = create_model(name).double().eval()
    fill(model, published(figures))
    weights = model.state_dict()
    weights.update({key: value * torch.nan for key, value in weights.items() if key.endswith(MERGED)})
    model.load_state_dict(weights, strict=True)
    calls: dict[str, list] = {at: [] for at in figures["outputs"]["intermediate"]}
    for at, kept in calls.items():
        model.get_submodule(at).register_forward_hook(
            lambda _m, _i, out, kept=kept: kept.append((list(out.shape), float(out.sum()), float((out**2).sum()))))
    image = figures["image"]
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(hyperprior, "Quantiser", Recorder)
        output = model(picture(image["height"], image["width"], image["seed"]))
    recorder = Recorder.last
    return SimpleNamespace(recorded=figures["outputs"], calls=calls, recorder=recorder, **output,
                           y_hat=torch.cat(recorder.coded, dim=1))


@pytest.mark.parametrize("name", PHASES)
def test_state_dict_has_the_published_names_shapes_and_counts(name) -> None:
    figures = manifest(name)
    with torch.device("meta"):
        model = create_model(name)
    state = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert len(state) == KEYS[name] + 10
    for entry in (*figures["parameters"], *figures["buffers"]):
        assert state.pop(entry["name"]) == entry["shape"]
    assert state == {f"adaptive_params_list.{i}": [1, 960, 1, 1] for i in range(10)}
    own = sum(parameter.numel() for parameter in model.parameters())
    assert own == figures["param_count_without_conv5x5_reparam"] + VECTORS
    for at, count in COUNTS[name].items():
        part = model.get_submodule(at)
        merged = sum(value.numel() for key, value in part.state_dict().items() if key.endswith(MERGED))
        assert sum(parameter.numel() for parameter in part.parameters()) + merged == count


@pytest.mark.parametrize("name", PHASES)
def test_forward_gives_the_recorded_figures_whatever_merged_kernel_was_loaded(name) -> None:
    pass_ = measured(name)
    recorded, x_hat, likelihoods = pass_.recorded, pass_.x_hat, pass_.likelihoods
    assert float(x_hat.sum()) == close(recorded["x_hat_sum"])
    assert float((x_hat**2).sum()) == close(recorded["x_hat_sumsq"])
    assert (float(x_hat.min()), float(x_hat.max())) == (close(recorded["x_hat_min"]), close(recorded["x_hat_max"]))
    patch = torch.tensor(recorded["x_hat_patch"], dtype=torch.float64)
    torch.testing.assert_close(x_hat[0, :, 100:104, 100:104], patch, rtol=CLOSE, atol=1e-11)
    for part in "yz":
        assert float(-likelihoods[part].log2().sum()) == close(recorded[f"bits_{part}"])
    assert int((likelihoods["y"] < 1.0001e-9).sum()) == recorded["likelihood_y_at_bound"]
    assert float(pass_.y_hat.sum()) == close(recorded["y_hat_sum"])
    assert float(pass_.y_hat.abs().sum()) == close(recorded["y_hat_abs_sum"])


@pytest.mark.parametrize("name", PHASES)
def test_every_step_and_module_gives_the_recorded_figures(name) -> None:
    pass_ = measured(name)
    recorder, steps = pass_.recorder, pass_.recorded["steps_s1_s2_s3"]
    assert len(recorder.symbols) == len(steps) == 11
    for step, symbols, scales, residuals in zip(steps, recorder.symbols, recorder.scales, recorder.residuals):
        assert symbols.numel() == step["symbols"]
        assert (symbols.min(), symbols.max()) == (step["q_min"], step["q_max"])
        assert (symbols.sum(), symbols.abs().sum()) == (step["q_sum"], step["q_abs_sum"])
        assert int((scales < 0.12).sum()) == step["scales_below_0.12"]
        assert float(scales.sum()) == close(step["scales_sum"])
        assert float((residuals**2).sum()) == close(step["res_sumsq"])
    for at, expected in pass_.recorded["intermediate"].items():
        if at == "attn_s3":
            expected = expected[:-1]  # the published code runs it once more, for nothing
        assert pass_.calls[at] == [(e["shape"], close(e["sum"]), close(e["sumsq"])) for e in expected]


@pytest.mark.parametrize("training", [False, True])
def test_merged_kernel_is_the_sum_of_its_parts_with_its_gradients(training) -> None:
    torch.manual_seed(1)
    shift, x = OmniShift(6).double().train(training), torch.randn(2, 5, 7, 6, dtype=torch.float64)
    maps = x.permute(0, 3, 1, 2)
    parts = (maps, shift.conv1x1(maps), shift.conv3x3(maps), shift.conv5x5(maps))
    expected = sum(weight * part for weight, part in zip(shift.alpha, parts)).permute(0, 2, 3, 1)
    out, weights = shift(x), torch.randn_like(x)
    torch.testing.assert_close(out, expected, rtol=CLOSE, atol=1e-12)
    gradients = [torch.autograd.grad((weights * result).sum(), list(shift.parameters())) for result in (out, expected)]
    torch.testing.assert_close(*gradients, rtol=CLOSE, atol=1e-11)


@torch.no_grad()
def shifted_in_parts(shift: OmniShift, x: torch.Tensor) -> torch.Tensor:
    """What a shift gives, each of its convolutions by itself."""
    maps = x.permute(0, 3, 1, 2)
    parts = (maps, shift.conv1x1(maps), shift.conv3x3(maps), shift.conv5x5(maps))
    return sum(weight * part for weight, part in zip(shift.alpha, parts)).permute(0, 2, 3, 1)


def reload(shift: OmniShift) -> None:
    shift.load_state_dict({key: -value for key, value in shift.state_dict().items()})


def step(shift: OmniShift) -> None:
    optimiser = torch.optim.SGD(shift.parameters(), lr=0.5)
    shift(torch.ones(1, 6, 6, 4, dtype=torch.float64)).square().sum().backward()
    optimiser.step()


def change_unseen(shift: OmniShift) -> None:
    shift.alpha.data.mul_(3)  # torch does not count this as a change
    shift.eval()


@pytest.mark.parametrize("change", [
    lambda shift: torch.nn.init.ones_(shift.alpha), reload, step, change_unseen, lambda shift: shift.to(torch.float32),
    lambda shift: setattr(shift.conv5x5, "weight", torch.nn.Parameter(2 * shift.conv5x5.weight.detach())),
])
def test_merged_kernel_follows_every_change_of_the_weights(change) -> None:
    torch.manual_seed(3)
    shift, x = OmniShift(4).double().eval(), torch.randn(1, 6, 6, 4, dtype=torch.float64)
    with torch.no_grad():
        before = shift(x)
        torch.testing.assert_close(before, shifted_in_parts(shift, x), rtol=CLOSE, atol=1e-12)
    change(shift)
    x = x.to(shift.alpha.dtype)
    with torch.no_grad():
        after = shift(x)
    torch.testing.assert_close(after, shifted_in_parts(shift, x))
    assert after.dtype != before.dtype or not torch.allclose(after, before)


def test_kernel_is_merged_once_while_nothing_changes(monkeypatch) -> None:
    merged = []
    monkeypatch.setattr(OmniShift, "kernel", lambda self, kernel=OmniShift.kernel: merged.append(1) or kernel(self))
    shift, x = OmniShift(4).eval(), torch.randn(1, 6, 6, 4)
    with torch.no_grad():
        results = [shift(x) for _ in range(3)]
    assert len(merged) == 1 and torch.equal(results[0], results[2])
    shift(x).sum().backward()
    assert len(merged) == 2 and shift.alpha.grad is not None


def test_blocks_are_interpolating_and_pre_norm() -> None:
    torch.manual_seed(2)
    x = torch.randn(2, 8, 4, 6, dtype=torch.float64)
    tokens = x.permute(0, 2, 3, 1)
    for block, parts in ((MixingBlock(8, 2), ("spatial_mix", "channel_mix")), (PreNormBlock(8, 2), ("att", "ffn"))):
        block = block.double()
        with torch.no_grad():
            block.gamma1.normal_(), block.gamma2.normal_(), block.ln1.weight.normal_(), block.ln2.bias.normal_()
        expected = tokens
        for part, norm, gamma in zip(parts, (block.ln1, block.ln2), (block.gamma1, block.gamma2)):
            mix = getattr(block, part)
            if part in ("att", "ffn"):
                expected = expected + gamma * mix(norm(expected))
            else:
                expected = expected + gamma * (norm(mix(expected)) - expected)
        torch.testing.assert_close(block(x).permute(0, 2, 3, 1), expected, rtol=CLOSE, atol=1e-12)


def test_spatial_mix_is_its_definition_token_by_token() -> None:
    """With at most 32 tokens the operator's weights are exp(-w |i - j|), and exp(u) for the token itself."""
    torch.manual_seed(3)
    mix, x = SpatialMix(5, 32).double(), torch.randn(1, 4, 6, 5, dtype=torch.float64)
    shifted = mix.omni_shift(x).flatten(1, 2)[0]
    keys, values, gates = (shifted @ layer.weight.T for layer in (mix.key, mix.value, mix.receptance))
    distance = (torch.arange(24)[:, None] - torch.arange(24)).abs()[..., None]
    weights = torch.exp(torch.where(distance == 0, mix.boost / 24, -distance * mix.decay / 24) + keys)
    expected = (torch.sigmoid(gates) * (weights * values).sum(1) / weights.sum(1)) @ mix.output.weight.T
    torch.testing.assert_close(mix(x).flatten(1, 2)[0], expected, rtol=1e-4, atol=1e-6)  # its 1e-6 is left out here


@pytest.mark.parametrize("name", PHASES)
def test_every_parameter_learns_but_the_key_biases_that_softmax_cancels(name) -> None:
    model = tiny(name).train()
    output = model(torch.rand(1, 3, 64, 64))
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (1000 * ((output["x_hat"] - 0.5) ** 2).mean() + bits).backward()
    still = {key for key, parameter in model.named_parameters()
             if parameter.grad is None or parameter.grad.abs().max() == 0}
    assert {key for key in still if not key.endswith("conv_k.bias")} == set()


def test_checkpointing_changes_neither_values_nor_gradients() -> None:
    image, results = torch.rand(1, 3, 64, 64), []
    for use_checkpoint in (False, True):
        model = tiny("rwkv_phase4", use_checkpoint=use_checkpoint)
        x_hat = model(image)["x_hat"]
        results.append([x_hat, *torch.autograd.grad(x_hat.square().sum(), model.g_a.branch[0].parameters())])
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_runs_change_the_result_where_there_are_more_than_32_tokens() -> None:
    results = {}
    for runs in (32, 64):
        torch.manual_seed(4)
        block = MixingBlock(16, 2, runs=runs)
        results[runs] = [block(torch.ones(1, 16, 4, 8).cumsum(3)), block(torch.ones(1, 16, 16, 16).cumsum(3))]
    assert torch.equal(results[32][0], results[64][0])
    assert not torch.allclose(results[32][1], results[64][1], rtol=1e-4)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(*(tiny("rwkv_phase2", runs=runs)(image)["x_hat"] for runs in (32, 64)))


@pytest.mark.parametrize("size", [(64, 64), (64, 128)])
@pytest.mark.parametrize("name", PHASES)
def test_a_batch_codes_as_its_images_alone_and_decodes_exactly(name, size) -> None:
    model = tiny(name)
    images = torch.stack([torch.from_numpy(tiny_models.picture(*size[::-1], seed)) for seed in (1, 2)])
    images = images.permute(0, 3, 1, 2).float() / 255
    together = model.compress(images)
    assert len(set(together["strings"][0])) == 2 and min(map(len, together["strings"][0])) > 100
    assert together["strings"] == [[model.compress(image[None])["strings"][part][0] for image in images]
                                   for part in (0, 1)]
    decoded = model.decompress(**together)["x_hat"]
    with torch.no_grad():
        alone = torch.cat([model(image[None])["x_hat"] for image in images])
        assert torch.equal(decoded, alone.clamp(0, 1))
        torch.testing.assert_close(model(images)["x_hat"], alone)


@pytest.mark.parametrize("name", PHASES)
def test_multiples_of_128_suffice_without_cross_attention(name) -> None:
    model = tiny(name, stages=[[8, 1], [8, 1], [8, 1]])
    assert model.padding_multiple == 256
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        if name == "rwkv_phase1":
            with pytest.raises(ValueError, match="padding_multiple"):
                model(image)
        else:
            assert torch.equal(model.decompress(**model.compress(image))["x_hat"], model(image)["x_hat"].clamp(0, 1))


@pytest.mark.parametrize("name", PHASES)
def test_second_process_decodes_odd_sizes_from_the_file(name, tmp_path) -> None:
    rows = measure_with_second_process(tiny(name), name, TINY, [(33, 17), (70, 129)], tmp_path)
    assert [(row.status, row.reason, row.decode_matches) for row in rows] == [(OK, None, True)] * 2


def layouts(weights: dict) -> dict:
    """The same weights as published files hold them; a dictionary to save for each layout."""
    vectors = {key: value for key, value in weights.items() if key.startswith("adaptive_params_list.")}
    forked = {key: value for key, value in weights.items() if key not in vectors}
    spoilt = {**forked, **{key: value * torch.nan for key, value in forked.items() if key.endswith(MERGED)}}
    return {
        "bare": weights,
        "of the training script": {"epoch": 3, "state_dict": spoilt, "best_loss": 1.0, "global_step": 7},
        "of several GPUs": {"state_dict": {f"module.{key}": value for key, value in spoilt.items()}},
        "without merged kernels": {key: value for key, value in forked.items() if not key.endswith(MERGED)},
    }


@pytest.mark.parametrize("layout", ["bare", "of the training script", "of several GPUs", "without merged kernels"])
def test_every_layout_of_a_checkpoint_loads(layout, tmp_path) -> None:
    source, model, image = tiny("rwkv_phase4"), tiny("rwkv_phase4", seed=5), torch.rand(1, 3, 64, 64)
    torch.save(layouts(source.state_dict())[layout], tmp_path / "weights.pth.tar")
    report = load_weights(model, read_weights(tmp_path / "weights.pth.tar"))
    assert any(key.startswith("adaptive_params_list.") for key in report.filled) == (layout != "bare")
    assert any(key.endswith(MERGED) for key in report.ignored) == (layout != "without merged kernels")
    with torch.no_grad():
        assert torch.equal(model(image)["x_hat"], source(image)["x_hat"])
    assert model.compress(image)["strings"] == source.compress(image)["strings"]


def test_what_is_missing_or_of_another_phase_is_refused() -> None:
    weights = tiny("rwkv_phase3").state_dict()
    with pytest.raises(CheckpointError, match="does not fit RWKV"):
        load_weights(tiny("rwkv_phase4"), weights)
    del weights["attn_s1.spatial_mix.omni_shift.alpha"]
    with pytest.raises(CheckpointError, match=r"missing: attn_s1\.spatial_mix\.omni_shift\.alpha"):
        load_weights(tiny("rwkv_phase3"), weights)


def test_rates_and_blocks_are_those_asked_for() -> None:
    model = create_model("rwkv_phase4", **TINY, cell_rates=[None, 1.5, 3], fusion_rate=2, fusion_blocks=2, prior_rate=1)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert "attn_s1.conv_q.weight" in shapes and "attn_s1.gamma1" not in shapes
    assert shapes["attn_s2.channel_mix.key.weight"] == (24, 16)
    assert shapes["attn_s3.channel_mix.value.weight"] == (16, 48)
    assert shapes["context_net.1.blocks.1.channel_mix.key.weight"] == (32, 16)
    assert shapes["y_spatial_prior_s3.branch_1.0.channel_mix.key.weight"] == (24, 24)
    assert "context_net.1.blocks.2.gamma1" not in shapes


@pytest.mark.parametrize(("options", "told"), [
    ({"cell_rates": [2, 3]}, "three hidden rates"), ({"cell_rates": [2, 3, 0]}, "positive number"),
    ({"fusion_rate": -1}, "positive number"), ({"fusion_blocks": 0}, "at least 1"), ({"prior_rate": 0.01}, "positive"),
    ({"prior_s3": [1, 1, 1]}, "two depths"), ({"runs": 0}, "at least 1"), ({"runs": 1.5}, "whole number"),
    ({"head_width": None}, "can't be None"), ({"rate": 3}, "it has: cell_rates"),
])
def test_impossible_options_are_refused(options, told) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_model("rwkv_phase4", **{**TINY, **options})
    assert told in str(caught.value)

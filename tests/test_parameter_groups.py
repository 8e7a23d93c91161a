"""Named groups of parameters, learning rates of their own, and unfreezing stage by stage."""

from __future__ import annotations

import pytest
import torch
from tiny_models import TINY

from bench.common.errors import ConfigurationError
from bench.models import MODELS, create_model
from bench.training.losses import SCALES
from bench.training.optimise.parameter_groups import (
    GROUPS,
    OTHER,
    LearningParts,
    freeze_scale,
    group_of,
    make_parameter_groups,
    scale_of,
)
from bench.training.recipes import Recipe

FAMILY = [name for name in MODELS if name != "lalic"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model("hpcm_base", **TINY)


def parameters_of(name):
    with torch.device("meta"):
        return dict(create_model(name).named_parameters())


def published_counts(parameters):
    """(tensors, numbers) by the first published pattern that a name holds anywhere, "default" without one."""
    counts = {}
    for name, parameter in parameters.items():
        pattern = next((p for p in ("g_a", "g_s", "h_a", "h_s", "context_net") if p in name), "default")
        tensors, numbers = counts.get(pattern, (0, 0))
        counts[pattern] = (tensors + 1, numbers + parameter.numel())
    return counts


def test_corrected_groups_take_over_what_the_published_patterns_leave_to_default():
    parameters = parameters_of("hpcm_base")
    # The published code keeps the adaptive vectors out of its parameters.
    adaptive = {name: p for name, p in parameters.items() if name.startswith("adaptive_params_list")}
    published = published_counts({name: p for name, p in parameters.items() if name not in adaptive})
    assert published == {
        "g_a": (56, 6_716_336), "g_s": (56, 6_716_019), "h_a": (28, 3_156_304), "h_s": (28, 6_116_448),
        "context_net": (4, 820_480), "default": (98, 44_970_112),
    }
    counts = {group["name"]: (len(group["params"]), sum(p.numel() for p in group["params"]))
              for group in make_parameter_groups(meta_base(), 1e-3, {})}
    assert {name: counts[name] for name in ("g_a", "g_s", "h_a", "h_s")} == \
        {name: published[name] for name in ("g_a", "g_s", "h_a", "h_s")}
    assert counts["entropy"] == (2, 2 * 256)
    rest = [published["context_net"], published["default"], (10, 10 * 960), (-2, -2 * 256)]
    assert counts["context"] == tuple(map(sum, zip(*rest)))
    assert tuple(map(sum, zip(*counts.values()))) == (280, 68_505_299)


def meta_base():
    with torch.device("meta"):
        return create_model("hpcm_base")


@pytest.mark.parametrize("name", FAMILY)
def test_every_parameter_of_the_family_is_in_one_group_and_none_in_other(name):
    with torch.device("meta"):
        model = create_model(name)
    groups = make_parameter_groups(model, 1e-3, {})
    members = [id(p) for group in groups for p in group["params"]]
    assert sorted(members) == sorted(id(p) for p in model.parameters())
    assert {group["name"] for group in groups} == set(GROUPS) - {OTHER}
    assert all(scale_of(parameter) in (None, *SCALES) for parameter, _ in model.named_parameters())


@pytest.mark.parametrize("name, group", [
    ("g_a_weconv.stage1.0.weight", "g_a"), ("h_s_wavelet.ll_params.0.bias", "h_s"),
    ("memory_bank_s1.temperature", "context"), ("module.attn_s3.conv_q.weight", "context"),
    ("freq_attention_lh.norm1.weight", "context"),
    ("scales_hyper", "entropy"), ("decoder.h_a.weight", OTHER), ("latent_codec.hyper.h_a.0.weight", OTHER),
])
def test_groups_go_by_how_a_name_starts(name, group):
    assert group_of(name) == group


def test_lalic_has_what_the_family_has_not():
    names = {group_of(name) for name in parameters_of("lalic")}
    assert names == {"g_a", "g_s", OTHER}


def test_learning_rates_are_multiplied_and_an_optimiser_takes_the_groups(model):
    groups = make_parameter_groups(model, 1e-5, {"h_a": 0.5, "h_s": 0.5, "context": 0.1})
    optimiser = torch.optim.Adam(groups)
    rates = {group["name"]: group["lr"] for group in optimiser.param_groups}
    assert rates == pytest.approx({"g_a": 1e-5, "g_s": 1e-5, "h_a": 5e-6, "h_s": 5e-6, "context": 1e-6,
                                   "entropy": 1e-5})


def test_frozen_groups_do_not_move_and_stay_in_the_optimiser(model):
    optimiser = torch.optim.SGD(make_parameter_groups(model, 1e-3, {"entropy": 0, "context": 0}))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train_step(model, optimiser)
    moved = {group_of(name) for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"g_a", "g_s", "h_a", "h_s"}
    assert {group["name"] for group in optimiser.param_groups} == set(GROUPS) - {OTHER}


@pytest.mark.parametrize("multipliers, message", [
    ({"conxtet": 1}, "conxtet"), ({"g_a": -1}, "below 0"), (dict.fromkeys(GROUPS, 0), "no parameter"),
])
def test_impossible_groups_are_refused(model, multipliers, message):
    with pytest.raises(ConfigurationError, match=message):
        make_parameter_groups(model, 1e-3, multipliers)


def train_step(model, optimiser):
    """One step in which, without rounding, every trainable parameter gets a gradient."""
    optimiser.zero_grad()
    output = model.train()(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (output["x_hat"].square().sum() + bits).backward()
    optimiser.step()


STAGES = [(0.2, ["h_a", "h_s"]), (0.4, ["context", "entropy"])]


def trainable(model):
    return {group_of(name) for name, p in model.named_parameters() if p.requires_grad}


def staged(model, stages=STAGES, multipliers=None):
    """The parts of a training in stages, and its optimiser."""
    parts = LearningParts(model, Recipe(unfreeze=stages, multipliers=multipliers or {"g_a": 1}))
    return parts, torch.optim.Adam(parts.groups)


def test_stages_begin_at_their_point_and_stay(model):
    parts, optimiser = staged(model)
    learning = {}
    for progress in (0, 0.1, 0.3, 0.39, 0.4, 1):
        parts.start_step(progress, optimiser, 1e-3)
        learning[progress] = trainable(model)
    first, second = {"g_a", "g_s"}, {"g_a", "g_s", "h_a", "h_s"}
    third = second | {"context", "entropy"}
    assert learning == {0: first, 0.1: first, 0.3: second, 0.39: second, 0.4: third, 1: third}


@pytest.mark.parametrize("progress, groups", [
    (0, {"g_a", "g_s"}), (0.19, {"g_a", "g_s"}), (0.2, {"g_a", "g_s", "h_a", "h_s"}),
    (0.9, {"g_a", "g_s", "h_a", "h_s", "context", "entropy"}),
])
def test_resuming_anywhere_trains_what_an_unbroken_run_would(model, progress, groups):
    parts, optimiser = staged(model)
    parts.start_step(progress, optimiser, 1e-3)
    assert trainable(model) == groups


def test_unfrozen_groups_move_and_refrozen_ones_stop(model):
    parts, optimiser = staged(model)
    hyper = model.h_a.branch[-1].weight
    start = hyper.detach().clone()
    parts.start_step(0, optimiser, 1e-3)
    train_step(model, optimiser)
    assert torch.equal(hyper, start)
    parts.start_step(0.2, optimiser, 1e-3)
    train_step(model, optimiser)
    moved = hyper.detach().clone()
    assert not torch.equal(moved, start)
    parts.start_step(0, optimiser, 1e-3)
    train_step(model, optimiser)  # Adam's moments would move it if a gradient were left
    assert torch.equal(hyper, moved)


@pytest.mark.parametrize("stages, message", [([(1, ["h_x"])], "h_x"), ([(1, ["h_a"])], "multiplier")])
def test_stages_that_would_train_nothing_are_refused(model, stages, message):
    with pytest.raises(ConfigurationError, match=message):
        staged(model, stages, {"h_a": 0})


@pytest.mark.parametrize("scale, last", [("s1", 1), ("s2", 2), ("s3", 3)])
def test_parts_of_a_scale_are_those_that_coding_the_other_scales_does_not_run(model, scale, last, monkeypatch):
    """What has no gradient when the walk is cut before the scale, but has one when it ends there."""
    reached = [gradients_when_scales_end_at(model, scales, monkeypatch) for scales in (last - 1, last)]
    shared = {name for name in reached[1] if name.startswith("y_spatial_prior_s1_s2")}
    expected = reached[1] - reached[0] - shared
    ours = {name for name, _ in model.named_parameters() if scale_of(name) == scale}
    assert ours == expected


def gradients_when_scales_end_at(model, number, monkeypatch):
    """Names of context parameters that the scales and means of scales 1 to ``number`` depend on."""
    model.zero_grad(set_to_none=True)
    parts = []
    predict, next_context, enter = model.predict, model.next_context, model.enter_scale

    def kept(hook):
        def listened(scale, *arguments):
            result = hook(scale, *arguments)
            if scale < number:
                parts.append(result)
            return result
        return listened

    with monkeypatch.context() as patch:
        for name, hook in (("predict", predict), ("next_context", next_context), ("enter_scale", enter)):
            patch.setattr(model, name, kept(hook))
        model.train()(torch.rand(1, 3, 64, 64))
    if parts:
        sum(part.square().sum() for part in parts).backward()
    return {name for name, p in model.named_parameters() if group_of(name) == "context" and p.grad is not None}


def test_freezing_a_scale_freezes_its_parts_alone(model):
    freeze_scale(model, "s2")
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name.partition(".")[0] for name in frozen} == {
        "y_spatial_prior_adaptor_list_s2", "attn_s2", "context_net", "adaptive_params_list"}
    assert {"adaptive_params_list.1", "adaptive_params_list.3", "context_net.0.weight"} <= frozen
    assert not {"adaptive_params_list.0", "adaptive_params_list.4", "context_net.1.weight"} & frozen
    freeze_scale(model, "z")
    assert frozen == {name for name, p in model.named_parameters() if not p.requires_grad}

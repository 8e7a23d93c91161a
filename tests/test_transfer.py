"""Warm starts of a phase from the one before and of one λ from another: what lands where, what is frozen, and which
functions are preserved."""

from __future__ import annotations

import re
from itertools import pairwise

import multiref_models
import pytest
import torch
import weconv_models
from tiny_models import TINY, tiny_model
from torch import nn

from bench.common.errors import CheckpointError, ConfigurationError
from bench.models import MODELS, create_model
from bench.models.layers import PConvRB
from bench.models.wavelets import WeConvSimple
from bench.training.start.transfer import FREEZE_EXCEPT, describe_transfer, transfer_weights

WIDTHS = {**TINY, "stages": [[8, 1], [8, 4]]}
LINES = [["hpcm_base", *(f"{line}_phase{phase}" for phase in range(1, phases + 1))]
         for line, phases in (("multiref", 3), ("rwkv", 4), ("weconv", 5))]
PAIRS = [pair for line in LINES for pair in pairwise(line)]
# Phase 1 to 2 and 3 to 4 of WeConv: the layers of g_a and g_s at the published depths, as its documents describe
# them. New layers that no old one goes to: 2.2 and 2.4 of the wavelets in phase 2, the additional blocks in phase 4.
ONE_TO_TWO = {
    "g_a.branch.0": "g_a.stage1.0", "g_a.branch.1": "g_a.stage1.1", "g_a.branch.2": "g_a.stage1.2",
    "g_a.branch.3": "g_a.stage2.0", "g_a.branch.4": "g_a.stage2.1", "g_a.branch.5": "g_a.stage2.2",
    "g_a.branch.6": "g_a.stage3.0", "g_a.branch.7": "g_a.stage3.1", "g_a.branch.8": "g_a.stage3.3",
    "g_a.branch.11": "g_a.stage4",
    "g_s.branch.0": "g_s.stage1", "g_s.branch.1": "g_s.stage2.1", "g_s.branch.2": "g_s.stage2.3",
    "g_s.branch.5": "g_s.stage3.0", "g_s.branch.6": "g_s.stage3.1", "g_s.branch.7": "g_s.stage3.2",
    "g_s.branch.8": "g_s.stage4.0", "g_s.branch.9": "g_s.stage4.1", "g_s.branch.10": "g_s.stage4.2",
    "g_s.branch.11": "g_s.stage4.3",
}
THREE_TO_FOUR = {
    "g_a.stage1.0": "g_a_weconv.stage1.0", "g_a.stage1.1": "g_a_weconv.stage1.1",
    "g_a.stage1.2": "g_a_weconv.stage1.2", "g_a.stage2.0": "g_a_weconv.stage2.0",
    "g_a.stage2.1": "g_a_weconv.stage2.1", "g_a.stage2.2": "g_a_weconv.stage2.2",
    "g_a.stage3.0": "g_a_weconv.stage3.0", "g_a.stage3.1": "g_a_weconv.stage3.1",
    "g_a.stage3.2": "g_a_weconv.stage3.2", "g_a.stage3.3": "g_a_weconv.stage3.3",
    "g_a.stage3.4": "g_a_weconv.stage3.4", "g_a.stage4": "g_a_weconv.stage3.6",
    "g_s.stage1": "g_s_weconv.stage1.0", "g_s.stage2.0": "g_s_weconv.stage1.2",
    "g_s.stage2.1": "g_s_weconv.stage1.3", "g_s.stage2.2": "g_s_weconv.stage1.4",
    "g_s.stage2.3": "g_s_weconv.stage1.5",
    "g_s.stage3.0": "g_s_weconv.stage2.0", "g_s.stage3.1": "g_s_weconv.stage2.1",
    "g_s.stage3.2": "g_s_weconv.stage2.2", "g_s.stage4.0": "g_s_weconv.stage3.0",
    "g_s.stage4.1": "g_s_weconv.stage3.1", "g_s.stage4.2": "g_s_weconv.stage3.2",
    "g_s.stage4.3": "g_s_weconv.stage3.3",
}


def made(name, seed=0, **options):
    """A model with weights of its own everywhere, also where layers start as zeros or ones."""
    torch.manual_seed(seed)
    model = create_model(name, **{**WIDTHS, **options}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def renamed(report):
    return [tuple(names.split(" to ")) for names in report["renamed"]]


def parts(names):
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("old, new", PAIRS)
def test_every_tensor_of_both_sides_is_accounted_for(old, new):
    source, target = made(old, 1), made(new, 2)
    source.update()
    before = {name: p.detach().clone() for name, p in target.named_parameters()}
    report = transfer_weights(target, source.state_dict())
    after, given = target.state_dict(), source.state_dict()
    came = {name: name for name in report["loaded"]} | {new_name: old_name for old_name, new_name in renamed(report)}
    assert all(torch.equal(after[name], given[origin]) for name, origin in came.items())
    assert len(set(came.values())) == len(came) and not set(came) & set(report["fresh"])
    assert all(torch.equal(after[name], before[name]) for name in report["fresh"] if name in before)
    assert set(before) <= set(came) | set(report["fresh"])
    assert {name for name, _ in source.named_parameters()} <= set(came.values()) | set(report["unused"])
    assert not [name for name in (*report["unused"], *report["fresh"]) if "dwt" in name or "cdf" in name]
    assert report["loaded"] | report["fresh"] == {
        name: after[name].numel() for name in (*report["loaded"], *report["fresh"])}
    assert list(report["renamed"].values()) == [after[name].numel() for _, name in renamed(report)]
    assert report["unused"] == {name: given[name].numel() for name in report["unused"]}
    assert target.scale_table.numel() == 60  # the coder's tables are there


@pytest.mark.parametrize("old, new, fresh, unused", [
    ("hpcm_base", "multiref_phase1", {"memory_bank_s3"}, set()),
    ("multiref_phase1", "multiref_phase2", {"memory_bank_s1", "memory_bank_s2", "memory_bank_s3"}, {"memory_bank_s3"}),
    ("hpcm_base", "rwkv_phase1", {"attn_s3"}, {"attn_s3"}),
    ("rwkv_phase1", "rwkv_phase2", {"attn_s1", "attn_s2"}, {"attn_s1", "attn_s2"}),
    ("rwkv_phase2", "rwkv_phase3", {"context_net"}, {"context_net"}),
    ("rwkv_phase3", "rwkv_phase4", {"y_spatial_prior_s1_s2", "y_spatial_prior_s3"},
     {"y_spatial_prior_s1_s2", "y_spatial_prior_s3"}),
    ("hpcm_base", "weconv_phase1", set(), set()),
    ("weconv_phase1", "weconv_phase2", {"g_a", "g_s"}, {"g_a", "g_s"}),
    ("weconv_phase2", "weconv_phase3", {"h_a", "h_s"}, {"h_a", "h_s"}),
    ("weconv_phase3", "weconv_phase4", {
        "g_a_weconv", "g_s_weconv", "h_a_wavelet", "h_s_wavelet", "ll_context_encoder", "freq_attention_lh",
        "freq_attention_hl", "freq_attention_hh", "channel_gate", "adaptive_quant", "param_aggregator_ll",
        "param_aggregator_hf"}, {"h_a", "h_s"}),
    ("weconv_phase4", "weconv_phase5", {"multi_res_builder", "enhanced_context_ll", "enhanced_context_hf"}, {
        "y_spatial_prior_adaptor_list_s1", "y_spatial_prior_adaptor_list_s2", "y_spatial_prior_adaptor_list_s3",
        "y_spatial_prior_s1_s2", "y_spatial_prior_s3", "adaptive_params_list", "context_net", "attn_s1", "attn_s2",
        "attn_s3"}),
])
def test_only_what_a_phase_changes_is_fresh(old, new, fresh, unused):
    report = transfer_weights(made(new), made(old, 1).state_dict())
    assert parts(report["fresh"]) == fresh and parts(report["unused"]) == unused


@pytest.mark.parametrize("old, new, expected", [(1, 2, ONE_TO_TWO), (3, 4, THREE_TO_FOUR)])
@pytest.mark.parametrize("simple", [True, False])
def test_layers_of_the_transforms_land_where_the_documents_say(old, new, expected, simple):
    stages = [[8, 2], [8, 2], [8, 4]]
    options = [{"use_simple_weconv": simple} if phase > 1 else {} for phase in (old, new)]
    source = made(f"weconv_phase{old}", stages=stages, **options[0])
    report = transfer_weights(made(f"weconv_phase{new}", 1, stages=stages, **options[1]), source.state_dict())
    layer = re.compile(r"g_[as](_weconv)?\.(branch\.\d+|stage\d+(\.\d+)?)(?=\.)")
    assert {layer.match(a)[0]: layer.match(b)[0] for a, b in renamed(report)} == expected
    assert all(a[layer.match(a).end():] == b[layer.match(b).end():] for a, b in renamed(report))
    assert not [name for name in report["loaded"] if layer.match(name)]


def silenced(transform, kind, indices):
    """Make blocks of a kind of a transform do nothing, those of ``indices`` among them."""
    found = [block for block in transform.modules() if isinstance(block, kind)]
    with torch.no_grad():
        for index in indices:
            block = found[index]
            last = block.branch[-1] if isinstance(block, PConvRB) else block
            for parameter in last.parameters():
                parameter.zero_()


def image(seed=0, side=64):
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_transforms_of_phase_2_are_those_of_phase_1_without_what_they_replace():
    old, new = made("weconv_phase1", 1), made("weconv_phase2", 2)
    for transform in (old.g_a, old.g_s):  # of the four inner blocks the last two have no place
        inner = {old.g_a: (3, 4), old.g_s: (2, 3)}[transform]
        silenced(transform, PConvRB, inner)
    transfer_weights(new, old.state_dict())
    for transform in (new.g_a, new.g_s):
        silenced(transform, WeConvSimple, (0, 1))
    with torch.no_grad():
        y = old.g_a(image())
        torch.testing.assert_close(new.g_a(image()), y)
        torch.testing.assert_close(new.g_s(y), old.g_s(y))


def test_transforms_of_phase_4_are_those_of_phase_3_when_the_new_block_does_nothing():
    old, new = made("weconv_phase3", 1), made("weconv_phase4", 2)
    transfer_weights(new, old.state_dict())
    silenced(new.g_a_weconv, PConvRB, [-1])
    silenced(new.g_s_weconv, PConvRB, [0])
    with torch.no_grad():
        y = old.g_a(image())
        torch.testing.assert_close(new.g_a_weconv(image()), y)
        torch.testing.assert_close(new.g_s_weconv(y), old.g_s(y))


def test_phase_5_keeps_running_statistics():
    old, new = weconv_models.tiny(4, seed=1), weconv_models.tiny(5, seed=2)
    transfer_weights(new, old.state_dict())
    low = torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(new.ll_context_encoder(low), old.ll_context_encoder(low))


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_multireference_without_memory_is_the_base_it_starts_from(phase):
    base, new = tiny_model(seed=1), multiref_models.tiny(phase, seed=2, enable_multiref=False)
    transfer_weights(new, base.state_dict())
    with torch.no_grad():
        expected, output = base(image()), new(image())
    torch.testing.assert_close(output["x_hat"], expected["x_hat"])
    torch.testing.assert_close(output["likelihoods"], expected["likelihoods"])
    assert new.compress(image())["strings"] == base.compress(image())["strings"]


def test_another_lambda_starts_as_the_same_model():
    old, new = tiny_model(seed=1), tiny_model(seed=2)
    assert new.compress(image())["strings"] != old.compress(image())["strings"]
    report = transfer_weights(new, {name: value for name, value in old.state_dict().items() if "cdf" not in name})
    assert not report["fresh"] and not report["unused"] and not report["renamed"]
    assert new.compress(image())["strings"] == old.compress(image())["strings"]


def test_deeper_transforms_align_by_their_strides():
    report = transfer_weights(made("hpcm_base", 1, stages=[[8, 1], [16, 3]]), made("hpcm_base").state_dict())
    assert "g_s.branch.0.weight" not in report["loaded"]  # of another width
    deeper = transfer_weights(made("hpcm_base", 1, stages=[[8, 1], [8, 6]]), made("hpcm_base").state_dict())
    assert ("g_s.branch.5.weight", "g_s.branch.7.weight") in renamed(deeper)
    assert parts(deeper["fresh"]) == {"g_a", "g_s"} and not deeper["unused"]


def test_a_layer_is_taken_over_whole_or_not_at_all():
    weights = made("hpcm_base").state_dict()
    del weights["attn_s1.conv_q.bias"]
    weights["attn_s2.conv_q.weight"] = torch.zeros(3, 3)
    target = made("hpcm_base", 1)
    report = transfer_weights(target, weights)
    layers = {"attn_s1.conv_q.weight", "attn_s1.conv_q.bias", "attn_s2.conv_q.weight", "attn_s2.conv_q.bias"}
    assert set(report["fresh"]) == layers and set(report["unused"]) == layers - {"attn_s1.conv_q.bias"}
    assert sum(report["unused"].values()) == 16 * 16 + 9 + 16
    told = describe_transfer(report)
    assert "attn_s1.conv_q.bias" in told and "fresh: 4 tensors, 544 parameters" in told


@pytest.mark.parametrize("old, new", PAIRS)
def test_frozen_tensors_get_no_gradient_and_the_others_do(old, new):
    kept = FREEZE_EXCEPT[new]
    target = made(new)
    report = transfer_weights(target, made(old, 1).state_dict(), freeze=True, except_parts=kept)
    taken = {*report["loaded"], *(name for _, name in renamed(report))}
    expected = {name for name, _ in target.named_parameters() if name in taken and not name.startswith(kept)}
    assert set(report["frozen"]) == expected and expected
    x = image(side=128)
    output = target.train()(x)
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (100 * (output["x_hat"] - x).square().sum() + bits).backward()
    graded = {name for name, p in target.named_parameters() if p.grad is not None}
    assert not graded & expected
    for part in parts(name for name, _ in target.named_parameters() if name not in expected):
        if not part.startswith(("memory_manager", "adaptive_params")):  # published, and never used; vectors
            assert part in parts(graded), part


def test_the_table_of_freezing_names_every_phase_and_parts_it_has():
    assert set(FREEZE_EXCEPT) == {name for name in MODELS if "phase" in name}
    for name, kept in FREEZE_EXCEPT.items():
        options = {"enable_hierarchical_transfer": True} if name == "multiref_phase2" else {}
        names = [parameter for parameter, _ in made(name, **options).named_parameters()]
        for prefix in kept:
            if not (prefix == "hierarchical_manager" and name != "multiref_phase2"):
                assert any(parameter.startswith(prefix) for parameter in names), (name, prefix)


def test_what_can_not_be_a_start_is_refused_and_changes_nothing():
    target, weights = made("hpcm_base"), made("hpcm_base", 1).state_dict()
    before = {name: p.detach().clone() for name, p in target.named_parameters()}
    with pytest.raises(ConfigurationError, match="none of the weights fit"):
        transfer_weights(target, nn.Linear(3, 3).state_dict())
    with pytest.raises(ConfigurationError, match="nothing to train"):
        transfer_weights(target, weights, freeze=True)
    with pytest.raises(CheckpointError, match="not finite"):
        transfer_weights(target, {**weights, "means_hyper": torch.full((1, 4, 1, 1), float("nan"))})
    with pytest.raises(CheckpointError, match="another constant"):
        transfer_weights(target, {**weights, "entropy_estimation.beta": torch.tensor([3.0])})
    assert all(torch.equal(p, before[name]) and p.requires_grad for name, p in target.named_parameters())

"""The five phases of the WeConv line give the recorded figures in float64 at full width."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
import torch
from reference_models import fill, manifest, picture
from torch import Tensor, nn
from weconv_models import PHASES, coded

from bench.models import create_model
from bench.models.coders import Quantiser

BANDS = ("ll", "lh", "hl", "hh")
FIGURES = {phase: manifest(f"weconv_phase{phase}") for phase in PHASES}
# Recorded with all bands and intermediate results: the phases, and two options of phase 5.
RECORDED = [*((phase, {}, FIGURES[phase]) for phase in PHASES),
            *((5, case["constructor"], {**FIGURES[5], **case}) for case in FIGURES[5]["options"].values())]
# Of these options bits of y, sum of the image, sum and absolute sum of the symbols were recorded.
OPTIONS = [
    (1, {"skip_s3_for_hf": True}, (607966.6527756264, -308.87716779156, -86788, 130310)),
    (4, {"skip_s3_for_hf": True}, (785894.3243037664, -53973.8156153047, -96205, 186583)),
    (4, {"use_adaptive_quant": False}, (833507.1577380263, -53627.3043200142, -96935, 204807)),
    (5, {"skip_s3_for_hf": True}, (888026.8478564152, -53599.6041335939, -75390, 180022)),
    (5, {"use_adaptive_quant": False}, (969160.8612009368, -53220.2442604050, -69909, 196605)),
    (5, {"use_enhanced_context": False}, (708010.567227163, -53637.9727062192, -93698, 180378)),
]
PARAMETERS = [
    *((phase, {}, FIGURES[phase]["param_count"]) for phase in PHASES),
    (2, {"use_simple_weconv": False}, 70_019_027), (4, {"use_simple_weconv": False}, 77_392_471),
    (5, {"use_enhanced_context": False}, 48_988_379), (5, {"lightweight_context": True}, 34_905_821),
]
STREAM_BYTES = {1: (60232, 2304), 2: (60936, 1848), 3: (61920, 484), 4: (83668, 2540), 5: (96332, 2540)}
TAPPED = ("h_s_wavelet", "ll_context_encoder", "freq_attention_lh", "freq_attention_hl", "freq_attention_hh",
          "channel_gate", "param_aggregator_ll", "param_aggregator_hf")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def close(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def filled(phase: int, options: dict, entries: list[dict]) -> nn.Module:
    with mock.patch("torch.nn.init.kaiming_uniform_"):  # slow, and all weights are replaced
        model = create_model(f"weconv_phase{phase}", **options).double().eval()
    fill(model, {"weights_seed": 0, "parameters": entries})
    return model


@dataclass(frozen=True)
class Recorded:
    """A model with the recorded weights, its figures, and what one pass gave: the tests of a model share it."""

    model: nn.Module
    figures: dict
    quantiser: Quantiser
    y_hat: Tensor
    output: dict
    calls: dict[str, list[Tensor]]


@pytest.fixture(scope="module", params=RECORDED, ids=lambda case: f"{case[0]}-{case[1]}")
def recorded(request) -> Recorded:
    phase, options, figures = request.param
    model, calls = filled(phase, options, figures["parameters"]), defaultdict(list)
    hooks = [model.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: calls[name].append(out))
             for name in figures["outputs"].get("taps", TAPPED)]
    passed = coded(model, image())
    for hook in hooks:
        hook.remove()
    return Recorded(model, figures, *passed, calls)


def image() -> Tensor:
    return picture(256, 256, seed=1)


def sums(x: Tensor) -> tuple[float, float]:
    return float(x.sum()), float((x**2).sum())


def of(entry: dict) -> tuple[Any, Any]:
    return close(entry["sum"]), close(entry["sumsq"])


@pytest.mark.parametrize("phase, options, number", PARAMETERS)
def test_number_of_parameters(phase, options, number):
    with torch.device("meta"):
        model = create_model(f"weconv_phase{phase}", **options)
    # Published classes keep the ten vectors outside the state dict.
    counted = [value.numel() for name, value in model.named_parameters() if "adaptive_params_list" not in name]
    assert sum(counted) == number


@pytest.mark.parametrize("phase, options, figures", RECORDED)
def test_state_dict_has_the_published_names_and_shapes(phase, options, figures):
    with torch.device("meta"):
        model = create_model(f"weconv_phase{phase}", **options)
    published = {entry["name"]: entry["shape"] for entry in (*figures["parameters"], *figures["buffers"])}
    state = {name: list(value.shape) for name, value in model.state_dict().items()}
    assert {name: shape for name, shape in state.items() if "adaptive_params_list" not in name} == published


def test_forward_gives_the_recorded_figures(recorded):
    outputs, y_hat = recorded.figures["outputs"], recorded.y_hat
    x_hat, likelihoods = recorded.output["x_hat"], recorded.output["likelihoods"]
    assert sums(x_hat) == (close(outputs["x_hat_sum"]), close(outputs["x_hat_sumsq"]))
    patch = torch.tensor(outputs["x_hat_patch"], dtype=torch.float64)
    torch.testing.assert_close(x_hat[0, :, 100:104, 100:104], patch, rtol=1e-9, atol=1e-10)
    assert [float(-likelihoods[part].log2().sum()) for part in "yz"] == close([outputs["bits_y"], outputs["bits_z"]])
    if "min_likelihood_y" in outputs:
        assert list(likelihoods["y"].shape) == outputs["likelihood_y_shape"]
        assert list(likelihoods["z"].shape) == outputs["likelihood_z_shape"]
        assert float(likelihoods["y"].min()) == close(outputs["min_likelihood_y"])
    assert (float(y_hat.sum()), float(y_hat.abs().sum())) == close((outputs["y_hat_sum"], outputs["y_hat_abs_sum"]))

    symbols, scales = torch.cat(recorded.quantiser.symbols, dim=1), torch.cat(recorded.quantiser.scales, dim=1)
    expected = outputs["symbols_y"]
    assert (symbols.min(), symbols.max()) == (expected["min"], expected["max"])
    assert (symbols.sum(), symbols.abs().sum()) == (expected["sum"], expected["abs_sum"])
    assert float((symbols != 0).double().mean()) == expected["nonzero_fraction"]
    expected = outputs["scales_y"]
    assert (float(scales.min()), float(scales.max())) == close((expected["min"], expected["max"]))
    assert float((scales < 0.12).double().mean()) == expected["fraction_below_bound"]


def test_every_band_has_the_recorded_figures(recorded):
    quantiser = recorded.quantiser
    found = {"y_res": quantiser.unpack(quantiser.residuals), "symbols": quantiser.unpack(quantiser.symbols),
             "scales": quantiser.unpack(quantiser.scales), "y_hat": recorded.y_hat,
             "bits": -recorded.output["likelihoods"]["y"].log2()}
    for number, band in enumerate(BANDS):
        for kind, entry in recorded.figures["outputs"]["bands"][band].items():
            of_band = found[kind].chunk(4, dim=1)[number]
            if kind == "bits":
                assert float(of_band.sum()) == close(entry)
            else:
                assert (list(of_band.shape), *sums(of_band)) == (entry["shape"], *of(entry))


def test_every_network_gives_the_recorded_figures(recorded):
    outputs, calls = recorded.figures["outputs"], recorded.calls
    for name, entries in outputs.get("taps", {}).items():
        if name == "attn_s3":  # the published code also runs the last one of each band, which nothing reads
            entries = [entry for i, entry in enumerate(entries) if i % 6 != 5]
        assert [(list(out.shape), *sums(out)) for out in calls[name]] == [
            (entry["shape"], *of(entry)) for entry in entries]
    if "intermediate" in outputs:
        found = {"params": calls["h_s_wavelet"][0], "ll_context": calls["ll_context_encoder"][0],
                 "params_ll": calls["param_aggregator_ll"][0]}
        for i, band in enumerate(BANDS[1:]):
            found[f"fused_{band}"] = calls[f"freq_attention_{band}"][0]
            found[f"gated_{band}"] = calls["channel_gate"][0][i]
            found[f"params_{band}"] = calls["param_aggregator_hf"][i]
        assert {name: (list(out.shape), *sums(out)) for name, out in found.items()} == {
            name: (entry["shape"], *of(entry)) for name, entry in outputs["intermediate"].items()}


@pytest.mark.parametrize("recorded", RECORDED[:5], indirect=True, ids=lambda case: f"{case[0]}-{case[1]}")
def test_streams_decode_exactly_and_have_the_recorded_sizes(recorded):
    model = copy.deepcopy(recorded.model).float()
    model.update()
    passes, code_latents = [], model.code_latents
    model.code_latents = lambda *arguments: (passes.append(code_latents(*arguments)), passes[-1])[1]
    encoded = model.encode_image(image().float())
    y_stream, z_stream = encoded.streams.values()
    # Rounding of the network in float32 differs between machines, so sizes agree closely, bytes need not.
    assert (len(y_stream), len(z_stream)) == pytest.approx(STREAM_BYTES[int(recorded.figures["variant"][-1])], rel=2e-3)
    model.decode_latents(y_stream, z_stream, encoded.shape)
    assert torch.equal(*passes)


@pytest.mark.parametrize("phase, options, expected", OPTIONS)
def test_options_give_the_recorded_figures(phase, options, expected):
    entries = FIGURES[phase]["parameters"]
    if "use_enhanced_context" in options:
        entries = [entry for entry in entries if not entry["name"].startswith("enhanced_context")]
        entries += [entry for entry in FIGURES[4]["parameters"] if entry["name"].startswith("y_spatial_prior_s1_s2.")]
    if "use_adaptive_quant" in options:
        entries = [entry for entry in entries if not entry["name"].startswith("adaptive_quant")]
    quantiser, _, result = coded(filled(phase, options, entries), image())
    symbols = torch.cat(quantiser.symbols, dim=1)
    assert (float(-result["likelihoods"]["y"].log2().sum()), float(result["x_hat"].sum())) == close(expected[:2])
    assert (symbols.sum(), symbols.abs().sum()) == expected[2:]

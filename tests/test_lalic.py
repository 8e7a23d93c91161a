"""LALIC gives the published code's figures in float64, and codes real bitstreams."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import tiny_models
import torch
from compressai.layers import CheckerboardMaskedConv2d
from second_process import measure_with_second_process

from bench.common.errors import CheckpointError, ConfigurationError
from bench.models import create_model
from bench.models.checkpoints import load_weights, read_weights, write_float16
from bench.models.rwkv_layers import MERGED
from bench.results.rows import OK
from tests.reference_models import fill, manifest, picture

CLOSE = 1e-9
GROUPS = (16, 16, 32, 64, 192)
TINY = {"N": 4, "dims": [8, 8, 8, 16, 8, 8], "depths": [1, 1, 1, 1], "groups": [2, 2, 4, 8], "rate": 2}
WIDTHS = {"y0": (352, 256, 256, 32), "y1": (384, 266, 256, 32), "y2": (448, 320, 256, 64),
          "y3": (576, 426, 277, 128), "y4": (1088, 853, 618, 384)}


def close(value: float):
    return pytest.approx(value, rel=CLOSE, abs=1e-12)


def tiny(seed: int = 0, **options):
    """A miniature whose streams hold more than zeros."""
    torch.manual_seed(seed)
    model = create_model("lalic", **{**TINY, **options}).eval()
    with torch.no_grad():
        model.g_a[-1].weight.mul_(20)
        model.h_a[-1].weight.mul_(5)
        for codec in model.latent_codec.y.latent_codec.values():
            codec.entropy_parameters[-1].mix.bias.add_(1)
    model.update()
    return model


def images(height: int, width: int) -> torch.Tensor:
    """Two pictures: (2, 3, height, width)."""
    both = torch.stack([torch.from_numpy(tiny_models.picture(width, height, seed)) for seed in (1, 2)])
    return both.permute(0, 3, 1, 2).float() / 255


def sums(value: torch.Tensor) -> tuple:
    return list(value.shape), close(float(value.sum())), close(float((value**2).sum()))


@functools.lru_cache(maxsize=1)
def measured() -> SimpleNamespace:
    """What one float64 pass gives, NaN in every merged kernel of the state dict that was loaded."""
    figures = manifest("lalic")
    model = create_model("lalic").double().eval()
    fill(model, {**figures, "parameters": [e for e in figures["parameters"] if not e["name"].endswith(MERGED)]})
    weights = model.state_dict()
    weights.update({key: value * torch.nan for key, value in weights.items() if key.endswith(MERGED)})
    model.load_state_dict(weights, strict=True)
    calls: dict[str, list] = {at: [] for at in figures["outputs"]["intermediate"]}
    for at, kept in calls.items():
        module, _, passes = at.partition(" ")
        if passes:  # "entropy_parameters.y0 (anchor, non-anchor)"
            module = f"latent_codec.y.latent_codec.{module.rpartition('.')[2]}.entropy_parameters"
        model.get_submodule(module).register_forward_hook(lambda _m, _i, out, kept=kept: kept.append(sums(out)))
    codecs: list[tuple] = []
    for codec in model.latent_codec.y.latent_codec.values():
        codec.register_forward_hook(lambda _m, given, out: codecs.append((given[0], out)))
    image = figures["image"]
    with torch.no_grad():
        output = model(picture(image["height"], image["width"], image["seed"]))
    return SimpleNamespace(recorded=figures["outputs"], calls=calls, codecs=codecs, **output)


def test_state_dict_has_the_published_names_shapes_and_counts() -> None:
    figures = manifest("lalic")
    with torch.device("meta"):
        model = create_model("lalic")
    state = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert len(state) == figures["state_dict_keys"] == 1623
    for entry in (*figures["parameters"], *figures["buffers"]):
        assert state.pop(entry["name"]) == entry["shape"]
    twice = {entry["name"].removeprefix("latent_codec.hyper."): entry["shape"] for entry in figures["parameters"]
             if entry["name"].startswith(("latent_codec.hyper.h_a.", "latent_codec.hyper.h_s."))}
    assert state == twice
    assert sum(p.numel() for p in model.parameters()) == figures["param_count_without_conv5x5_reparam"]
    assert model.h_a is model.latent_codec.hyper.h_a and model.h_s is model.latent_codec.hyper.h_s


def test_entropy_parameter_networks_ramp_as_published() -> None:
    with torch.device("meta"):
        model = create_model("lalic")
    for name, codec in model.latent_codec.y.latent_codec.items():
        mixes = [codec.entropy_parameters[i].mix for i in (0, 2, 4)]
        assert (mixes[0].in_channels, *(mix.out_channels for mix in mixes)) == WIDTHS[name]


def test_forward_gives_the_recorded_figures_whatever_merged_kernel_was_loaded() -> None:
    recorded, x_hat, likelihoods = measured().recorded, measured().x_hat, measured().likelihoods
    assert float(x_hat.sum()) == close(recorded["x_hat_sum"])
    assert float((x_hat**2).sum()) == close(recorded["x_hat_sumsq"])
    assert (float(x_hat.min()), float(x_hat.max())) == (close(recorded["x_hat_min"]), close(recorded["x_hat_max"]))
    patch = torch.tensor(recorded["x_hat_patch"], dtype=torch.float64)
    torch.testing.assert_close(x_hat[0, :, 100:104, 100:104], patch, rtol=CLOSE, atol=1e-11)
    for part in "yz":
        assert float(-likelihoods[part].log2().sum()) == close(recorded[f"bits_{part}"])
    assert int((likelihoods["y"] < 1.0001e-9).sum()) == recorded["likelihood_y_at_bound"]


def test_every_group_and_module_gives_the_recorded_figures() -> None:
    recorded = measured().recorded
    for at, expected in recorded["intermediate"].items():
        assert measured().calls[at] == [(e["shape"], e["sum"], e["sumsq"]) for e in expected]
    assert len(measured().codecs) == len(recorded["groups"]) == len(GROUPS)
    for (y, out), group in zip(measured().codecs, recorded["groups"]):
        assert float(y.sum()) == close(group["y_sum"])
        assert float(out["y_hat"].sum()) == close(group["y_hat_sum"])
        assert float(-out["likelihoods"]["y"].log2().sum()) == close(group["bits"])
    y_hat = torch.cat([out["y_hat"] for _, out in measured().codecs], dim=1)
    assert float(y_hat.sum()) == close(recorded["y_hat_sum"])
    assert float(y_hat.abs().sum()) == close(recorded["y_hat_abs_sum"])


@pytest.mark.parametrize("size", [(128, 128), (128, 256)])
def test_a_batch_codes_as_its_images_alone_and_decodes_exactly(size) -> None:
    model, batch = tiny(), images(*size)
    coded = model.compress(batch)
    assert coded["shape"] == (size[0] // 64, size[1] // 64)
    assert [len(string) for string in coded["strings"]] == [2] * (2 * len(TINY["groups"]) + 1)
    for i, image in enumerate(batch):
        alone = model.compress(image[None])
        assert alone["strings"] == [[string[i]] for string in coded["strings"]]
        assert torch.equal(model.decompress(**alone)["x_hat"], model.decompress(**coded)["x_hat"][i : i + 1])
        with torch.no_grad():
            forward = model(image[None])
        torch.testing.assert_close(forward["x_hat"].clamp(0, 1), model.decompress(**alone)["x_hat"])
        bits = sum(float(-likelihood.log2().sum()) for likelihood in forward["likelihoods"].values())
        written = 8 * sum(len(string) for [string] in alone["strings"])
        assert bits > 1000 and written == pytest.approx(bits, rel=0.25)  # each of nine streams ends on whole words


@pytest.mark.parametrize(("options", "size"), [
    (TINY, (128, 128)), (TINY, (64, 192)), ({"depths": [1, 1, 1, 1]}, (128, 128)),
], ids=["small", "wide", "full widths"])
def test_decoder_has_the_encoders_latents_bit_for_bit(options, size, monkeypatch) -> None:
    torch.manual_seed(1)
    model = create_model("lalic", **options).eval()
    model.update()
    encoded, decoded, compress = [], [], model.latent_codec.compress
    monkeypatch.setattr(model.latent_codec, "compress", lambda y: encoded.append(compress(y)) or encoded[-1])
    coded = model.compress(images(*size))
    model.g_s.register_forward_pre_hook(lambda _module, given: decoded.append(given[0]))
    model.decompress(**coded)
    assert len(encoded) == len(decoded) == 2
    for one, other in zip(encoded, decoded):
        assert torch.equal(one["y_hat"], other) and one["y_hat"].stride() == other.stride()


def test_second_process_decodes_odd_sizes_from_the_file(tmp_path) -> None:
    rows = measure_with_second_process(tiny(), "lalic", TINY, [(33, 17), (140, 129)], tmp_path)
    assert [(row.status, row.reason, row.decode_matches) for row in rows] == [(OK, None, True)] * 2
    assert [row.padding for row in rows] == [(47, 55, 48, 56), (58, 63, 58, 64)]  # to 128x128 and 256x256, centred


def test_every_parameter_learns() -> None:
    model = tiny(rate=4).train()
    output = model(images(128, 128))
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (1000 * ((output["x_hat"] - 0.5) ** 2).mean() + bits + model.aux_loss()).backward()
    assert {key for key, parameter in model.named_parameters()
            if parameter.grad is None or parameter.grad.abs().max() == 0} == set()


def older(weights: dict) -> dict:
    """The names of the entropy bottleneck under CompressAI 1.2.6."""
    for new, old in (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor")):
        weights = {key.replace(f"entropy_bottleneck.{new}", f"entropy_bottleneck.{old}"): value
                   for key, value in weights.items()}
    return weights


@pytest.mark.parametrize("layout", ["bare", "of the training script", "of several GPUs", "without tables", "float16"])
def test_every_layout_of_a_checkpoint_loads(layout, tmp_path) -> None:
    source, model, image = tiny(), tiny(seed=5), images(128, 128)[:1]
    path, weights = tmp_path / "weights.pth.tar", source.state_dict()
    spoilt = {**weights, **{key: value * torch.nan for key, value in weights.items() if key.endswith(MERGED)}}
    fresh = create_model("lalic", **TINY).state_dict()  # its tables are empty
    tables = {key: value for key, value in fresh.items() if value.numel() == 0}
    if layout == "float16":
        path = tmp_path / "weights.safetensors"
        write_float16(source, path, {})
        source.load_state_dict({key: value.half().float() if value.numel() > 1 and value.is_floating_point() else value
                                for key, value in weights.items()})
        source.update(force=True)
    else:
        torch.save({"bare": weights,
                    "of the training script": {"epoch": 3, "state_dict": older(spoilt), "loss": 1.0},
                    "of several GPUs": {"state_dict": {f"module.{key}": value for key, value in older(spoilt).items()}},
                    "without tables": {**weights, **tables}}[layout], path)
    load_weights(model, read_weights(path))
    with torch.no_grad():
        assert torch.equal(model(image)["x_hat"], source(image)["x_hat"])
    assert model.compress(image)["strings"] == source.compress(image)["strings"]


def test_plain_loading_takes_both_names_and_ignores_merged_kernels() -> None:
    source, image = tiny(), images(128, 128)[:1]
    for weights in (source.state_dict(), older(source.state_dict())):
        model = create_model("lalic", **TINY).eval()
        model.load_state_dict({key: value * torch.nan if key.endswith(MERGED) else value
                               for key, value in weights.items()}, strict=True)
        assert torch.equal(model.decompress(**source.compress(image))["x_hat"],
                           source.decompress(**source.compress(image))["x_hat"])


def test_other_widths_and_missing_entries_are_refused() -> None:
    weights = tiny().state_dict()
    with pytest.raises(CheckpointError, match="of another shape"):
        load_weights(tiny(rate=3), weights)
    del weights["latent_codec.hyper.entropy_bottleneck.quantiles"]
    with pytest.raises(CheckpointError, match="missing: latent_codec.hyper.entropy_bottleneck.quantiles"):
        load_weights(tiny(), weights)


@pytest.mark.parametrize(("options", "told"), [
    ({"groups": [4, 4]}, "add up to the latents' 16 channels"), ({"groups": [16, 0]}, "at least 1, not 0"),
    ({"dims": [8, 8]}, "dims must be a list of 6"), ({"depths": [1]}, "depths must be a list of 4"),
    ({"rate": 0}, "positive number"),
    ({"runs": -1}, "at least 1"), ({"M": 16}, "it has: N, dims"),
])
def test_impossible_options_are_refused(options, told) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_model("lalic", **{**TINY, **options})
    assert told in str(caught.value)


def test_threads_that_share_a_model_code_as_one_does() -> None:
    model, pictures = tiny(), images(128, 128)
    alone = [model.compress(image[None])["strings"] for image in pictures]
    with ThreadPoolExecutor(3) as pool:
        coded = list(pool.map(lambda i: model.compress(pictures[i % 2][None])["strings"], range(24)))
    assert all(strings == alone[i % 2] for i, strings in enumerate(coded))


def test_forward_does_not_touch_the_masked_weights() -> None:
    """CompressAI's own masked convolution writes them anew in each pass, while another thread may read them."""
    model = tiny()
    masked = [module for module in model.modules() if isinstance(module, CheckerboardMaskedConv2d)]
    before = [(module.weight.data_ptr(), module.weight.clone()) for module in masked]
    with torch.no_grad():
        model(images(128, 128))
    assert masked and all(module.weight.data_ptr() == address and torch.equal(module.weight, weight)
                          for module, (address, weight) in zip(masked, before))


def test_coding_needs_evaluation_mode_and_float32() -> None:
    model, picture_ = tiny(), images(128, 128)
    coded = model.compress(picture_)
    for spoil, told in ((model.train, r"call eval\(\)"), (model.eval().double, "float32 only")):
        spoil()
        with pytest.raises(RuntimeError, match=told):
            model.compress(picture_)
        with pytest.raises(RuntimeError, match=told):
            model.decompress(**coded)
        model.eval()

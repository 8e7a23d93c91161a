"""The HPCM models give the published models' figures in float64, and code real bitstreams."""

import functools
import hashlib
import os
from types import SimpleNamespace

import pytest
import torch

from bench.common.errors import ConfigurationError
from bench.models import create_model, hyperprior
from bench.models.coders import Quantiser
from tests.reference_models import fill, manifest, picture

CLOSE = 1e-9
LARGE = pytest.param("hpcm_1b", marks=[
    pytest.mark.large,
    pytest.mark.skipif(os.environ.get("BENCH_LARGE") != "1", reason="needs 10 GB of memory: set BENCH_LARGE=1"),
])
CODING = ["hpcm_base", "hpcm_large", "hpcm_phi"]  # models whose bitstreams were recorded
MINIATURE = {"M": 16, "N": 8, "stages": ((8, 1), (16, 1)), "prior_s1_s2": (1, 1), "prior_s3": (1, 1)}


def filled(name, dtype=torch.float64):
    figures = manifest(name)
    model = create_model(name).to(dtype).eval()
    fill(model, figures)
    return model, figures


def image_of(figures):
    return picture(figures["image"]["height"], figures["image"]["width"], figures["image"]["seed"])


def close(value):
    return pytest.approx(value, rel=CLOSE, abs=1e-12)


class Recorder(Quantiser):
    """Keeps the means too, to compare single steps."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.means, self.latents = [], []
        Recorder.last = self

    def code(self, source, scales, means):
        self.means.append(means)
        self.latents.append(super().code(source, scales, means))
        return self.latents[-1]


@pytest.mark.parametrize("name", ["hpcm_base", "hpcm_large", "hpcm_phi", "hpcm_1b"])
def test_state_dict_has_the_published_names_and_shapes(name):
    figures = manifest(name)
    with torch.device("meta"):
        model = create_model(name)
    published = {entry["name"]: tuple(entry["shape"]) for entry in figures["parameters"]}
    assert {key: tuple(value.shape) for key, value in model.named_parameters()} == published
    assert sum(parameter.numel() for parameter in model.parameters()) == figures["param_count"]
    assert {key for key, _ in model.named_buffers()} == {entry["name"] for entry in figures["buffers"]}


@functools.lru_cache(maxsize=4)
def measured(name):
    """What one float64 pass gives, and the estimator of its bits."""
    model, figures = filled(name)
    trace = []
    for child in {entry["at"] for entry in figures["outputs"]["trace"]}:
        model.get_submodule(child).register_forward_hook(lambda _m, _i, out, at=child: trace.append((at, out)))
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(hyperprior, "Quantiser", Recorder)
        output = model(image_of(figures))
    return SimpleNamespace(recorded=figures["outputs"], trace=trace, recorder=Recorder.last,
                           estimate=model.entropy_estimation, **output)


@pytest.mark.parametrize("name", [*CODING, LARGE])
def test_forward_gives_the_recorded_figures(name):
    pass_ = measured(name)
    recorded, trace, x_hat, likelihoods = pass_.recorded, pass_.trace, pass_.x_hat, pass_.likelihoods
    assert float(x_hat.sum()) == close(recorded["x_hat_sum"])
    assert float((x_hat**2).sum()) == close(recorded["x_hat_sumsq"])
    assert float(x_hat.min()) == close(recorded["x_hat_min"])
    assert float(x_hat.max()) == close(recorded["x_hat_max"])
    patch = torch.tensor(recorded["x_hat_patch"], dtype=torch.float64)
    torch.testing.assert_close(x_hat[0, :, 100:104, 100:104], patch, rtol=CLOSE, atol=1e-10)
    for part in "yz":
        assert float(-likelihoods[part].log2().sum()) == close(recorded[f"bits_{part}"])
        assert float(likelihoods[part].sum()) == close(recorded[f"likelihood_{part}_sum"])
    # The published code also runs the last attention, whose result nothing uses; this one does not.
    calls = recorded["trace"]
    unused = [i for i, entry in enumerate(calls) if entry["at"] == "attn_s3"][-1:]
    expected = [entry for i, entry in enumerate(calls) if i not in unused]
    assert [at for at, _ in trace] == [entry["at"] for entry in expected]
    for (_, out), entry in zip(trace, expected):
        assert list(out.shape) == entry["shape"]
        assert float(out.sum()) == close(entry["sum"])
        assert float((out**2).sum()) == close(entry["sumsq"])


@pytest.mark.parametrize("name", CODING)
def test_every_coded_step_gives_the_recorded_figures(name):
    pass_ = measured(name)
    recorded, recorder = pass_.recorded, pass_.recorder
    y_hat = torch.cat(recorder.latents, dim=1)
    assert float(y_hat.sum()) == close(recorded["y_hat_sum"])
    assert float(y_hat.abs().sum()) == close(recorded["y_hat_abs_sum"])
    assert len(recorder.symbols) == len(recorded["steps"]) == 11
    for i, step in enumerate(recorded["steps"]):
        symbols, scales = recorder.symbols[i], recorder.scales[i]
        assert symbols.numel() == step["coded"]
        assert (symbols.min(), symbols.max()) == (step["min"], step["max"])
        assert float(symbols.sum()) == step["y_q_sum"] and float(symbols.abs().sum()) == step["y_q_abs_sum"]
        assert float(scales.sum()) == close(step["scales_sum"])
        assert float(recorder.means[i].sum()) == close(step["means_sum"])
        assert float((recorder.latents[i] ** 2).sum()) == close(step["y_hat_sumsq"])
        bits = -pass_.estimate(symbols, scales).log2().sum()
        assert float(bits) == close(step["bits"])


@functools.lru_cache(maxsize=1)
def coded(name):
    """A float32 model with its tables, its figures, the recorded image and what it is coded as."""
    model, figures = filled(name, torch.float32)
    image = image_of(figures).float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the streams were recorded
    try:
        model.update()
        return model, figures, image, model.compress(image)
    finally:
        torch.set_num_threads(threads)


def test_streams_are_byte_identical_to_the_published_ones_where_the_network_rounds_alike():
    _, figures, _, stream = coded("hpcm_base")
    (y_stream,), (z_stream,) = stream["strings"]
    recorded = figures["bitstream"]
    if len(y_stream) != recorded["y_bytes"]:
        pytest.skip("this machine's float32 rounds the network differently")
    assert hashlib.sha256(y_stream).hexdigest() == recorded["y_sha256"]
    assert hashlib.sha256(z_stream).hexdigest() == recorded["z_sha256"]


@pytest.mark.parametrize("name", CODING)
def test_streams_decode_exactly_and_have_the_recorded_sizes(name):
    model, figures, image, stream = coded(name)
    recorded = figures["bitstream"]
    (y_stream,), (z_stream,) = stream["strings"]
    # Rounding of the network in float32 differs between machines, so sizes agree closely, bytes need not.
    assert len(y_stream) == pytest.approx(recorded["y_bytes"], rel=2e-3)
    assert len(z_stream) == pytest.approx(recorded["z_bytes"], rel=2e-3)
    decoded = model.decompress(**stream)["x_hat"]
    with torch.no_grad():
        assert torch.equal(decoded, model(image)["x_hat"].clamp(0, 1))


@pytest.mark.parametrize("name, options", [
    ("hpcm_base", {"head_width": 8}), ("hpcm_phi", {}), ("hpcm_large", {"head_width": 8}),
])
@pytest.mark.parametrize("size", [(128, 128), (128, 256)])
def test_a_batch_codes_as_its_images_alone(name, options, size):
    torch.manual_seed(1)
    model = create_model(name, **{**MINIATURE, **options}).eval()
    model.update()
    images = torch.rand(2, 3, *size)
    together = model.compress(images)
    alone = [model.compress(image[None]) for image in images]
    assert together["strings"] == [[one["strings"][part][0] for one in alone] for part in (0, 1)]
    decoded = model.decompress(**together)["x_hat"]
    for i, one in enumerate(alone):
        assert torch.equal(decoded[i], model.decompress(**one)["x_hat"][0])
    with torch.no_grad():
        forward = model(images)
        separate = [model(image[None]) for image in images]
    torch.testing.assert_close(forward["x_hat"], torch.cat([one["x_hat"] for one in separate]))
    torch.testing.assert_close(forward["likelihoods"]["y"],
                               torch.cat([one["likelihoods"]["y"] for one in separate]), rtol=1e-3, atol=1e-6)


def test_miniature_of_the_1b_model_codes():
    model = create_model("hpcm_1b", **{**MINIATURE, "stages": ((8, 1), (16, 1), (16, 1)), "hyper_blocks": (1, 1, 1, 1),
                                 "adaptor_depths": (1, 1, 1), "prior_s1_s2": (1, 1, 1), "prior_s3": (1, 1, 1)}).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000
    model.update()
    image = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        forward = model(image)["x_hat"].clamp(0, 1)
    assert torch.equal(model.decompress(**model.compress(image))["x_hat"], forward)


def test_every_parameter_learns_but_the_key_biases_that_softmax_cancels():
    torch.manual_seed(0)
    model = create_model("hpcm_base", **MINIATURE, head_width=8).train()
    with torch.no_grad():
        model.h_a.branch[-1].weight.mul_(10)  # else all hyper-latents round to 0, and h_s.branch.0 sees nothing
    output = model(torch.rand(1, 3, 128, 128))
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (1000 * ((output["x_hat"] - 0.5) ** 2).mean() + bits).backward()
    still = {name for name, parameter in model.named_parameters()
             if parameter.grad is None or parameter.grad.abs().max() == 0}
    assert {name for name in still if not name.endswith("conv_k.bias")} == set()


def test_training_mode_passes_gradients_through_rounding_and_adds_noise():
    model = create_model("hpcm_phi", **MINIATURE).train()
    image = torch.rand(1, 3, 128, 128)
    first, second = model(image)["likelihoods"]["y"], model(image)["likelihoods"]["y"]
    assert not torch.equal(first, second)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(image)["likelihoods"]["y"], model(image)["likelihoods"]["y"])


def test_tables_of_any_size_load_by_torch_itself():
    model, fresh = (create_model("hpcm_phi", **MINIATURE).eval() for _ in range(2))
    model.update()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.quantized_cdf_y, model.quantized_cdf_y)
    image = torch.rand(1, 3, 128, 128)
    assert fresh.compress(image)["strings"] == model.compress(image)["strings"]
    model.load_state_dict(create_model("hpcm_phi", **MINIATURE).state_dict())
    assert model.scale_table.numel() == 0


def test_float16_keeps_the_entropy_model_s_bounds():
    model = create_model("hpcm_phi", **MINIATURE).eval().to(torch.bfloat16)
    assert float(model.entropy_estimation.likelihood_lower_bound.bound) == pytest.approx(1e-9)
    with torch.no_grad():
        likelihoods = model(torch.rand(1, 3, 128, 128).bfloat16())["likelihoods"]
    assert all(torch.isfinite(part.log2()).all() for part in likelihoods.values())
    unlikely = model.half().entropy_estimation(torch.full((1,), 60000.0).half(), torch.ones(1).half())
    assert float(unlikely) == pytest.approx(1e-9)


def test_sizes_without_whole_windows_say_so():
    model = create_model("hpcm_base", **MINIATURE, head_width=8).eval()
    with pytest.raises(ValueError, match="padding_multiple"), torch.no_grad():
        model(torch.rand(1, 3, 64, 64))


def test_coding_in_training_mode_says_what_to_do():
    model = create_model("hpcm_phi", **MINIATURE).eval()
    model.update()
    with pytest.raises(RuntimeError, match=r"call eval\(\)"):
        model.train().compress(torch.rand(1, 3, 128, 128))


def test_coding_before_update_says_what_to_do():
    model = create_model("hpcm_phi", **MINIATURE).eval()
    with pytest.raises(RuntimeError, match=r"call update\(\)"):
        model.compress(torch.rand(1, 3, 128, 128))


@pytest.mark.parametrize("name, options, told", [
    ("hpcm_bas", {}, "hpcm_base"), ("hpcm_base", {"width": 3}, "it has: M, N"), ("hpcm_base", {"stages": 3}, "can't"),
])
def test_wrong_names_and_options_are_refused(name, options, told):
    with pytest.raises(ConfigurationError, match=told):
        create_model(name, **options)

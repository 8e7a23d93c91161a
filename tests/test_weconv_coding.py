"""The WeConv line codes real streams: exact decoding, batches, options, gradients, checkpoints."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from second_process import measure_with_second_process
from slow_weconv import SlowPass
from tiny_models import picture
from torch import Tensor, nn
from weconv_models import CASES, PHASES, TINY, coded, images, tiny

from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import CheckpointError, ConfigurationError
from bench.models import create_model
from bench.models.checkpoints import load_weights, read_weights
from bench.models.coders import Quantiser
from bench.results.rows import OK

FUSIONS = ("freq_attention_lh", "freq_attention_hl", "freq_attention_hh", "channel_gate")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the decoder's process; measuring also sets torch's algorithms, which is undone here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


@pytest.mark.parametrize("phase, options", CASES)
def test_a_pass_is_what_masks_over_whole_planes_give(phase, options):
    model, image = tiny(phase, **options).double(), images(1, 256, 128).double()
    with torch.no_grad():
        slow = SlowPass(model, image[0])
    quantiser, y_hat, output = coded(model, image)
    for name in ("residuals", "symbols", "scales"):
        steps = [step[0] for step in getattr(quantiser, name)]
        torch.testing.assert_close(steps, getattr(slow, name), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(y_hat[0], torch.cat(slow.bands), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(output["x_hat"][0], slow.x_hat, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("phase, options", CASES)
def test_streams_decode_exactly(phase, options):
    model = tiny(phase, **options)
    for width, height in ((64, 64), (128, 64)):
        pair = images(2, width, height)
        together = model.compress(pair)
        assert together["shape"] == (height // model.hyper_stride, width // model.hyper_stride)
        reconstructed = model.decompress(**together)["x_hat"]
        for i, image in enumerate(pair):
            encoded = model.encode_image(image[None])
            streams = tuple(encoded.streams.values())
            assert streams == tuple(strings[i] for strings in together["strings"])
            quantiser, y_hat, output = coded(model, image[None])
            assert all(band.abs().sum() > 0 for band in quantiser.unpack(quantiser.symbols).chunk(4, dim=1))
            assert torch.equal(model.decode_latents(*streams, encoded.shape)[0], y_hat)
            assert torch.equal(reconstructed[i], output["x_hat"][0].clamp(0, 1))


@pytest.mark.parametrize("phase, options", CASES)
def test_files_of_odd_sizes_decode_to_the_encoders_image(phase, options):
    codec = LearnedCodec(tiny(phase, **options), "cpu")
    for width, height in ((33, 17), (270, 129)):
        encoding = codec.encode(picture(width, height))
        left, top, right, bottom = encoding.padding
        assert (left + width + right) % 256 == (top + height + bottom) % 256 == 0
        assert np.array_equal(codec.decode(encoding.stream), encoding.reconstruct())
        assert 8 * len(encoding.stream) == pytest.approx(encoding.estimate_bits(), rel=0.05)


@pytest.mark.parametrize("phase", PHASES)
def test_a_second_process_decodes_the_files(phase, tmp_path):
    options = {"skip_s3_for_hf": True}
    rows = measure_with_second_process(tiny(phase, **options), f"weconv_phase{phase}", {**TINY, **options},
                                       [(33, 17), (270, 129)], tmp_path)
    assert [(row.status, row.reason, row.decode_matches) for row in rows] == [(OK, None, True)] * 2


@pytest.mark.parametrize("phase, options", CASES)
def test_images_of_a_batch_do_not_see_each_other(phase, options):
    model = tiny(phase, **options).double()
    pair = torch.cat([images(1), images(1, seed=2).flip(1) ** 3]).double()
    together, y_hat, output = coded(model, pair)
    for i in range(2):
        alone, y_hat_alone, output_alone = coded(model, pair[i : i + 1])
        assert torch.equal(torch.cat(alone.symbols, dim=1)[0], torch.cat(together.symbols, dim=1)[i])
        torch.testing.assert_close(y_hat_alone[0], y_hat[i], rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(output_alone["x_hat"][0], output["x_hat"][i], rtol=1e-9, atol=1e-10)


class Forbidden(nn.Module):
    def forward(self, *arguments):
        raise AssertionError("a decoder can't have the inputs of this")


@pytest.mark.parametrize("phase", [4, 5])
def test_the_decoder_neither_fuses_nor_gates(phase):
    model, image = tiny(phase), images(1)
    _, _, output = coded(model, image)
    stream = model.compress(image)
    for name in FUSIONS:
        setattr(model, name, Forbidden())
    assert torch.equal(model.decompress(**stream)["x_hat"], output["x_hat"].clamp(0, 1))
    with pytest.raises(AssertionError, match="a decoder"):
        model.compress(image)


@pytest.mark.parametrize("phase, options", CASES)
def test_high_bands_are_conditioned_on_the_low_one_and_not_on_each_other(phase, options):
    model = tiny(phase, **options)
    model.fuse_high_bands = lambda bands, context: bands  # it mixes the bands before they are coded
    with torch.no_grad():
        y = model.analysis(images(1))
        hyper = model.hyper_synthesis(torch.round(model.hyper_analysis(y) - model.means_hyper) + model.means_hyper)
    bands = list(model.to_code(y).chunk(4, dim=1))

    def coded_bands(changed: int | None) -> list[tuple[Tensor, ...]]:
        """Of each band the symbols, the residuals, which tell the means, and the scales."""
        latents = [band + 2 * (i == changed) for i, band in enumerate(bands)]
        quantiser = Quantiser(torch.cat(latents, dim=1))
        with torch.no_grad():
            model.code_latents(hyper, quantiser)
        kinds = (quantiser.symbols, quantiser.residuals, quantiser.scales)
        return list(zip(*(quantiser.unpack(kind).chunk(4, dim=1) for kind in kinds)))

    plain = coded_bands(None)
    for changed in range(4):
        same = [[torch.equal(a, b) for a, b in zip(*pair)] for pair in zip(plain, coded_bands(changed))]
        for i in range(4):
            if changed in (0, i):
                assert same[i][1:] == [False, False]
            else:
                assert same[i] == [True] * 3


def calls(model: nn.Module, *names: str) -> list[int]:
    """How often one pass runs each of the named networks."""
    counts: Counter[str] = Counter()
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: counts.update([name]))
    coded(model, images(1))
    return [counts[name] for name in names]


@pytest.mark.parametrize("phase", [1, 2, 3, 4])
def test_high_bands_without_scale_3_take_it_from_the_hyper_parameters(phase):
    names = ("y_spatial_prior_s1_s2", "attn_s2", "context_net.1", "y_spatial_prior_s3", "attn_s3")
    assert calls(tiny(phase), *names) == [16, 12, 4, 24, 20]
    model = tiny(phase, skip_s3_for_hf=True)
    assert calls(model, *names) == [16, 9, 1, 6, 5]  # nothing reads the last context of scale 2 either
    parameters, band_parameters = [], model.band_parameters
    model.band_parameters = lambda hyper: (parameters.extend(band_parameters(hyper)), parameters[-4:])[1]
    quantiser, _, _ = coded(model, images(1))
    for band in (1, 2, 3):
        sources = quantiser.sources[11 * band + 5 : 11 * band + 11]
        expected = parameters[band][:, : model.M].flatten(1)
        for source, scales in zip(sources, quantiser.scales[11 * band + 5 :]):
            assert torch.equal(scales, expected[:, source - band * expected.shape[1]])


@pytest.mark.parametrize("options, low, high", [
    ({}, 3, 9), ({"num_checkerboard_groups": 2}, 1, 3), ({"skip_s3_for_hf": True}, 3, 3),
    ({"num_checkerboard_groups": 2, "skip_s3_for_hf": True}, 1, 3), ({"lightweight_context": True}, 3, 9),
])
def test_checkerboards_need_one_network_pass_for_each_group_but_the_first(options, low, high):
    names = ("enhanced_context_ll", "enhanced_context_hf", "multi_res_builder")
    assert calls(tiny(5, **options), *names) == [low, high, low + high]


@pytest.mark.parametrize("phase, options", CASES)
def test_every_parameter_learns_but_the_key_biases_that_softmax_cancels(phase, options):
    model = tiny(phase, **options).train()
    output = model(images(2, 128, 128))  # below that attention of scale 1 has no window
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (1000 * ((output["x_hat"] - 0.5) ** 2).mean() + bits).backward()
    still = {name for name, parameter in model.named_parameters()
             if parameter.grad is None or parameter.grad.abs().max() == 0}
    assert {name for name in still if not name.endswith("conv_k.bias")} == set()
    for name, parameter in model.named_parameters():
        if name.endswith("in_proj_bias"):
            query, key, value = parameter.grad.chunk(3)
            assert query.abs().max() > 0 and value.abs().max() > 1e3 * key.abs().max()


@pytest.mark.parametrize("phase", PHASES)
def test_training_mode_codes_nothing(phase):
    model, image = tiny(phase), images(1)
    stream = model.compress(image)
    model.train()
    with pytest.raises(RuntimeError, match=r"call eval\(\)"):
        model.compress(image)
    with pytest.raises(RuntimeError, match=r"call eval\(\)"):
        model.decompress(**stream)


@pytest.mark.parametrize("phase", [4, 5])
def test_decoding_takes_the_statistics_that_training_gathered(phase):
    model, image, norm = tiny(phase), images(1), "ll_context_encoder.norm2"
    _, before, _ = coded(model, image)
    mean = model.get_buffer(f"{norm}.running_mean").clone()
    model.train()(images(2, seed=3))
    assert not torch.equal(model.eval().get_buffer(f"{norm}.running_mean"), mean)
    _, after, output = coded(model, image)
    assert not torch.equal(after, before)  # for the statistics alone: no weight has changed
    stream = model.compress(image)
    assert torch.equal(model.decompress(**stream)["x_hat"], output["x_hat"].clamp(0, 1))
    fresh = tiny(phase, seed=5)
    load_weights(fresh, model.state_dict())
    assert torch.equal(fresh.decompress(**stream)["x_hat"], output["x_hat"].clamp(0, 1))


def test_quantisation_steps_divide_what_is_coded_and_multiply_what_is_decoded():
    model = tiny(4).double()
    with torch.no_grad():
        for i, band in enumerate(("ll", "lh", "hl", "hh")):
            model.adaptive_quant.get_parameter(f"log_delta_{band}").fill_(float(np.log(2.0 + i)))
        model.g_a_weconv.stage2[-1].weight.mul_(1e3)  # beside such latents the rounding is small
        quantiser, y_hat, _ = coded(model, images(1).double())
        low = model.to_code(model.analysis(images(1).double())).chunk(4, dim=1)[0]
    torch.testing.assert_close(y_hat.chunk(4, dim=1)[0], low, rtol=0, atol=1 + 1e-9)  # half a step of 2
    assert (y_hat.chunk(4, dim=1)[0] - low).abs().max() > 0.9
    errors = y_hat - quantiser._latents * torch.tensor([2.0, 3, 4, 5]).repeat_interleave(8).view(1, -1, 1, 1)
    for step, error in zip((2, 3, 4, 5), errors.chunk(4, dim=1)):
        assert 0.45 * step < error.abs().max() <= step / 2 + 1e-9


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("stages", [[[8, 1], [8, 1]], [[8, 0], [8, 2], [8, 3]], [[8, 1], [8, 1], [8, 1], [8, 4]]])
def test_any_number_of_stages_from_two(phase, stages):
    model = tiny(phase, stages=stages)
    assert model.latent_stride == 2 ** (len(stages) + 1) and model.padding_multiple == 32 * model.latent_stride
    assert model.hyper_stride == (8 if phase == 3 else 4) * model.latent_stride
    image = images(1, 8 * model.latent_stride, 16 * model.latent_stride)
    _, _, output = coded(model, image)
    assert output["x_hat"].shape == image.shape
    assert torch.equal(model.decompress(**model.compress(image))["x_hat"], output["x_hat"].clamp(0, 1))


@pytest.mark.parametrize("phase", PHASES)
def test_padding_at_published_widths(phase):
    with torch.device("meta"):
        model = create_model(f"weconv_phase{phase}")
    assert (model.padding_multiple, model.hyper_stride) == (512, 128 if phase == 3 else 64)


@pytest.mark.parametrize("phase, options, told", [
    (1, {"skip_s3_for_hf": "false"}, "skip_s3_for_hf must be true or false, not 'false'"),
    (1, {"use_simple_weconv": True}, "has no option use_simple_weconv"),
    (2, {"use_simple_weconv": 1}, "must be true or false"), (2, {"stages": [[8, 1]]}, "2 or more"),
    (3, {"use_adaptive_quant": True}, "has no option use_adaptive_quant"),
    (4, {"use_adaptive_quant": None}, "must be true or false"), (4, {"stages": [[8, 1]]}, "2 or more"),
    (4, {"N": 1}, "N must be a whole number of at least 2, not 1"),  # half of z is of the low band
    (4, {"attention_heads": 3}, r"attention_heads must divide M = 8 \(1, 2, 4, 8\), not be 3"),
    (4, {"attention_heads": 0}, r"\(1, 2, 4, 8\)"), (5, {"attention_heads": 2.0}, r"\(1, 2, 4, 8\)"),
    (4, {"num_checkerboard_groups": 2}, "has no option num_checkerboard_groups"),
    (5, {"num_checkerboard_groups": 1}, "must be 2 or 4, not 1"),
    (5, {"num_checkerboard_groups": 3}, "must be 2 or 4, not 3"), (5, {"num_checkerboard_groups": [2]}, "2 or 4"),
    (5, {"use_enhanced_context": "no"}, "true or false"), (5, {"lightweight_context": "no"}, "true or false"),
    (5, {"lightweight_context": True, "adaptive_context": True}, "can't both be true"),
])
def test_impossible_options_are_refused(phase, options, told):
    with pytest.raises(ConfigurationError, match=told):
        create_model(f"weconv_phase{phase}", **{**TINY, **options})


def published(model: nn.Module) -> dict[str, Tensor]:
    """The model's state as the published scripts save it: without the ten vectors, tables of another size."""
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("adaptive_params")}
    return {**state, "quantized_cdf_y": torch.zeros(60, 699, dtype=torch.int32), "scale_table": torch.empty(0)}


@pytest.mark.parametrize("phase", PHASES)
def test_published_layouts_load(phase, tmp_path):
    model, image = tiny(phase), images(1)
    with torch.no_grad():
        for vector in getattr(model, "adaptive_params_list", ()):
            vector.fill_(1)
    _, y_hat, output = coded(model, image)
    plain = published(model)
    other = {name: 1 + value for name, value in plain.items() if name.endswith((".w_ll", "filters", "tracked"))}
    layouts = {"bare": plain, "parallel": {f"module.{name}": value for name, value in plain.items()},
               "with vectors": model.state_dict(), "with other filters": {**plain, **other}}
    for name, content in layouts.items():
        path = tmp_path / f"{name}.pth.tar"
        torch.save(content, path)
        fresh = tiny(phase, seed=5)
        report = load_weights(fresh, read_weights(path))
        vectors = 10 if phase < 5 and name != "with vectors" else 0
        assert len(report.filled) == vectors and {"dwt.w_ll", "idwt.filters", "scale_table"} <= set(report.ignored)
        _, loaded, again = coded(fresh, image)
        assert torch.equal(loaded, y_hat) and torch.equal(again["x_hat"], output["x_hat"])


@pytest.mark.parametrize("phase, options, source, of_source, told", [
    (1, {}, 2, {}, "missing: g_a.branch"), (2, {}, 1, {}, "missing: g_a.stage1"), (3, {}, 2, {}, "missing: h_a.input"),
    (4, {}, 3, {}, "missing: .*g_a_weconv.stage1"), (5, {}, 4, {}, "missing: multi_res_builder"),
    (2, {"use_simple_weconv": False}, 2, {}, "missing: .*ll_conv1.weight"),
    (2, {}, 2, {"use_simple_weconv": False}, "unexpected: .*ll_conv1.weight"),
    (4, {}, 4, {"use_simple_weconv": False}, "unexpected: .*ll_conv1.weight"),
    (4, {}, 4, {"use_adaptive_quant": False}, "missing: adaptive_quant"),
    (5, {}, 5, {"use_enhanced_context": False}, "missing: enhanced_context_ll"),
])
def test_weights_of_another_model_are_refused(phase, options, source, of_source, told):
    weights = tiny(source, **of_source).state_dict()
    with pytest.raises(CheckpointError, match=told) as caught:
        load_weights(tiny(phase, **options), weights, "a.pth.tar")
    assert f"a.pth.tar does not fit WeConvPhase{phase}" in str(caught.value)
    assert "options are those the file was trained with" in str(caught.value.hint)

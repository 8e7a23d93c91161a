"""Counted operations against the specification's own count, layers worked out by hand, and a second counter."""

import runpy
from pathlib import Path

import pytest
import torch
from tiny_models import TINY, picture, tiny_model
from torch import nn

from bench.codecs.learned_codec import LearnedCodec
from bench.models import create_model
from bench.runners.profile.complexity import (
    count_macs,
    count_parameters,
    parameters_by_module,
    read_parameters,
    skipped_macs,
)
from tests.variant_table import kmac_per_pixel

CASE = Path(__file__).parents[2] / "shared" / "cases" / "24-mha-macs"


def test_layers_worked_out_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 4, 1))
    assert kmac_per_pixel(model, torch.zeros(2, 3, 12, 20)) == pytest.approx((3 * 8 * 9 + 8 * 9 + 8 * 4) / 1000)


def test_strided_and_transposed_convolutions():
    model = nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), nn.ConvTranspose2d(6, 3, 2, stride=2))
    assert kmac_per_pixel(model, torch.zeros(1, 3, 8, 8)) == pytest.approx(2 * 3 * 6 / 1000)


@pytest.mark.parametrize(("name", "published"), [("hpcm_base", 918.57), ("hpcm_large", 1261.29), ("hpcm_phi", 872.79)])
def test_models_have_the_published_count(name, published):
    """With the attention that the published code computes at the end of scale 3, whose result nothing reads."""
    model = create_model(name).eval()
    skipped = skipped_macs(model, 256, 256) / 256**2 / 1000
    assert kmac_per_pixel(model, torch.zeros(1, 3, 256, 256)) + skipped == pytest.approx(published, abs=0.1)


def test_the_skipped_attention_worked_out_by_hand():
    four_convolutions, two_products = 4 * 640 * 640, 2 * 64 * 640  # a position; windows of 8x8
    assert skipped_macs(create_model("hpcm_base"), 256, 512) == (four_convolutions + two_products) * 16 * 32
    assert skipped_macs(create_model("hpcm_phi"), 256, 512) == 0


def test_attention_is_counted_as_its_two_products():
    query, memory = torch.zeros(2, 3, 10, 8), torch.zeros(2, 3, 24, 8)
    count = count_macs(lambda: nn.functional.scaled_dot_product_attention(query, memory, memory))
    assert count.macs == 2 * (2 * 3 * 10 * 24 * 8)


class HookCounter:
    """Counts convolutions by their shapes, from outside torch's counter."""

    def __init__(self, model: nn.Module) -> None:
        self.macs = 0
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(self.add)
            elif isinstance(layer, nn.ConvTranspose2d):
                layer.register_forward_hook(self.add_transposed)

    def add(self, layer: nn.Conv2d, inputs: tuple, output: torch.Tensor) -> None:
        self.macs += output.numel() * layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]

    def add_transposed(self, layer: nn.ConvTranspose2d, inputs: tuple, output: torch.Tensor) -> None:
        taps = layer.out_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        self.macs += inputs[0].numel() * taps


@pytest.mark.parametrize("name", ["hpcm_phi", "weconv_phase1"])
def test_encoder_and_decoder_agree_with_a_second_counter(name):
    options = {**TINY, "head_width": None} if name == "hpcm_phi" else {**TINY}
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    model.update()
    codec, image = LearnedCodec(model, "cpu"), picture(128, 128)
    stream = codec.encode(image).stream
    counter = HookCounter(model)
    for function in (lambda: codec.encode(image), lambda: codec.decode(stream)):
        counter.macs = 0
        counted = count_macs(function).macs
        attention = counted - counter.macs  # its products are no layers
        assert counter.macs > 0 and (attention == 0 if name == "hpcm_phi" else 0 < attention < 0.2 * counted)


def test_encoder_and_decoder_make_up_the_forward_pass():
    """Both walk the context and hyper-synthesis, which a forward pass does once."""
    model = tiny_model()
    x = torch.rand(1, 3, 128, 128)
    encoded = model.encode_image(x)
    encode = count_macs(lambda: model.encode_image(x)).macs
    decode = count_macs(lambda: model.decode_image(tuple(encoded.streams.values()), encoded.shape)).macs
    only_encoder = count_macs(lambda: model.hyper_analysis(model.analysis(x))).macs
    assert count_macs(lambda: model(x)).macs == only_encoder + decode
    assert encode - only_encoder == decode - count_macs(lambda: model.synthesis(model.analysis(x))).macs + count_macs(
        lambda: model.analysis(x)).macs


@torch.no_grad()
def test_children_are_counted_apart_and_add_up():
    model = tiny_model()
    x = torch.rand(1, 3, 128, 128)
    count = count_macs(lambda: model(x), model)
    assert sum(count.module_macs.values()) == count.macs
    for name in ("g_a", "h_a", "g_s"):
        child, given = getattr(model, name), []
        with child.register_forward_pre_hook(lambda _, inputs, given=given: given.append(inputs)):
            model(x)
        assert count.module_macs[name] == count_macs(lambda child=child, given=given: child(*given[0])).macs > 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    inside = parameters_by_module(model)
    own = sum(parameter.numel() for parameter in model.parameters(recurse=False))
    assert sum(inside.values()) + own == count_parameters(model) and inside["g_a"] == count_parameters(model.g_a)


def test_the_suites_own_operator_is_counted():
    from bench.operators import biwkv
    from bench.operators.flops import FORWARD_OPERATIONS

    parts = torch.zeros(4), torch.zeros(4), torch.zeros(2, 10, 4), torch.zeros(2, 10, 4)
    count = count_macs(lambda: biwkv(*parts))
    assert count.macs == FORWARD_OPERATIONS * 2 * 10 * 4 // 2 and count.uncounted == ()


def test_operators_without_a_count_are_listed():
    @torch.library.custom_op("bench_tests::uncounted", mutates_args=())
    def uncounted(x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(0)

    x = torch.rand(2, 3, 8, 8)
    grid = torch.zeros(2, 8, 8, 2)

    def work() -> None:
        layer = nn.functional.conv2d(x, torch.ones(3, 3, 1, 1))
        moved = torch.cat((layer.relu(), layer * 2), dim=1).permute(0, 2, 3, 1).contiguous()
        torch.fft.rfft2(x)
        nn.functional.grid_sample(x, grid, align_corners=False)
        nn.functional.layer_norm(moved, moved.shape[3:]).softmax(dim=1)
        uncounted(x)

    count = count_macs(work)
    assert count.macs == 2 * 3 * 3 * 64
    assert set(count.uncounted) == {"bench_tests.uncounted", "aten._fft_r2c", "aten.grid_sampler_2d",
                                    "aten.native_layer_norm", "aten._softmax"}


def test_parameters_that_nothing_reads_are_found():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused, self.viewed = (nn.Linear(3, 3) for _ in range(3))
            self.halved = nn.Parameter(torch.ones(6, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.viewed.weight.t()  # a view alone reads nothing
            return nn.functional.linear(self.used(x), self.halved.chunk(2)[0])

    model = Model()
    assert read_parameters(model, lambda: model(torch.zeros(1, 3))) == {"used.weight", "used.bias", "halved"}
    assert count_parameters(model) == 3 * (9 + 3) + 18


def test_published_but_unused_parameters_of_a_memory_are_found():
    torch.manual_seed(0)
    model = create_model("multiref_phase3", **{**TINY}).eval()
    model.update()
    x = torch.rand(1, 3, 64, 64)

    def everything() -> None:
        model.update()
        encoded = model.encode_image(x)
        model.decode_image(tuple(encoded.streams.values()), encoded.shape)

    unread = {name for name, _ in model.named_parameters()} - read_parameters(model, everything)
    assert unread and all("value_proj" in name or "cross_proj" in name for name in unread)


class AttentionCodec(nn.Module):
    """Patches of 8x8 through two transformer layers, as a small codec has them on either side."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, 8)
        self.layers = nn.Sequential(*(nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
                                      for _ in range(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(self.embed(x).flatten(2).transpose(1, 2))


ATTENTION_CODEC_MACS = 8 * 8 * 64 * 3 * 64 + 2 * (4 * 64**3 + 2 * 64**3 + 2 * 64 * 64 * 128)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "layer by layer"])
def test_fused_attention_is_counted(fused):
    """In eval mode torch runs an encoder layer as one operator; as single layers they are the same products."""
    assert ATTENTION_CODEC_MACS == 6_029_312
    model = AttentionCodec().eval()
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fused)
    try:
        count = count_macs(lambda: model(torch.rand(1, 3, 64, 64)))
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    assert count.macs == ATTENTION_CODEC_MACS and round(count.macs / 64**2 / 1000, 2) == 1.47
    assert bool(count.uncounted) != fused  # normalisations and softmax are inside the operator, and no MAC


def test_the_attention_codec_of_the_case_is_counted():
    if not CASE.is_dir():
        pytest.skip("the cases are not here")
    space = runpy.run_path(str(CASE / "attn_codec.py"))
    torch.manual_seed(0)
    model = space["AttnCodec"]().eval()
    model.update()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        stream = model.compress(x)
    assert count_macs(lambda: model.compress(x)).macs == ATTENTION_CODEC_MACS
    assert count_macs(lambda: model.decompress(**stream)).macs == ATTENTION_CODEC_MACS


@torch.no_grad()
def test_tokens_of_several_lengths_are_counted_one_by_one():
    """A mask of padding makes torch nest them: 3 and 5 tokens in place of twice 5."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    encoder = nn.TransformerEncoder(layer, 1).eval()
    padding = torch.tensor([[False] * 3 + [True] * 2, [False] * 5])
    count = count_macs(lambda: encoder(torch.rand(2, 5, 8), src_key_padding_mask=padding))
    assert count.macs == sum(4 * n * 8 * 8 + 2 * n * n * 8 + 2 * n * 8 * 16 for n in (3, 5))


@pytest.mark.parametrize(("work", "macs"), [
    (lambda: nn.MultiheadAttention(64, 4, batch_first=True).eval()(*[torch.rand(2, 10, 64)] * 3),
     2 * (4 * 10 * 64 * 64 + 2 * 10 * 10 * 64)),
    (lambda: nn.MultiheadAttention(64, 4, batch_first=True).train()(torch.rand(2, 10, 64), *[torch.rand(2, 7, 64)] * 2),
     2 * (2 * 10 * 64 * 64 + 2 * 7 * 64 * 64 + 2 * 10 * 7 * 64)),
    (lambda: nn.Bilinear(5, 6, 3)(torch.rand(5, 5), torch.rand(5, 6)), 450),
    (lambda: nn.LSTM(8, 16).eval()(torch.rand(5, 2, 8)), 5 * 2 * 4 * 16 * (8 + 16)),
    (lambda: nn.GRU(8, 16).eval()(torch.rand(5, 2, 8)), 5 * 2 * 3 * 16 * (8 + 16)),
    (lambda: torch.mv(torch.rand(4, 6), torch.rand(6)), 24),
    (lambda: torch.addmv(torch.rand(4), torch.rand(4, 6), torch.rand(6)), 24),
    (lambda: torch.dot(torch.rand(6), torch.rand(6)), 6),
    (lambda: torch.ops.aten._addmm_activation(torch.rand(3), torch.rand(4, 6), torch.rand(6, 3)), 72),
], ids=["self-attention", "cross-attention", "bilinear", "lstm", "gru", "mv", "addmv", "dot", "linear with gelu"])
def test_other_operators_worked_out_by_hand(work, macs):
    count = count_macs(work)
    assert count.macs == macs and set(count.uncounted) <= {"aten._softmax", "aten.mean"}

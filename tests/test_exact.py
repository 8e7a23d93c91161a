"""Exact models: what decides a table's row is float64, and other settings of the processor change no symbol."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import weconv_models
from exact_files import decode_elsewhere, write_exact_file
from multiref_models import roughened
from tiny_models import TINY, picture, tiny_model
from torch import Tensor, nn

from bench.codecs.learned import load_learned, make_spec
from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import CodecError, ConfigurationError
from bench.models import MODELS, ZOO_EXACT, create_model, explain_no_exact
from bench.models.checkpoints import load_weights, read_weights
from bench.models.coders import Quantiser
from bench.models.coding_tables import use_tables
from bench.models.entropy import scale_index, scale_table
from bench.models.exact import (
    MARGIN,
    SHIFTS,
    STEP,
    Agreement,
    agree,
    find_shift,
    is_clear,
    make_exact,
    shift_edges,
    split_agreement,
)
from bench.operators.depthwise import convolve_depthwise
from bench.runners.evaluate.selection import choose_codecs, choose_point
from bench.runners.profile.subjects import make_lively_model

LALIC = {"N": 4, "dims": [8, 8, 8, 16, 8, 8], "depths": [1, 1, 1, 1], "groups": [2, 2, 4, 8], "rate": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    **{name: TINY for name in MODELS if name.startswith(("hpcm", "rwkv"))},
    "hpcm_phi": {**TINY, "head_width": None},
    "hpcm_1b": {**TINY, "stages": [[8, 1], [8, 1], [8, 1]], "head_width": None, "adaptor_depths": [1, 1, 1]},
    **{f"multiref_phase{phase}": {**TINY, **({"compress_ratio": 1} if phase < 3 else {})} for phase in (1, 2, 3)},
    **{f"weconv_phase{phase}": weconv_models.TINY for phase in weconv_models.PHASES},
    "lalic": LALIC,
    "compressai:mbt2018-mean": {},
}
MINIATURES = ("multiref_phase3_mini", "rwkv_phase4_mini", "weconv_phase5_mini")


def lively(name: str) -> nn.Module:
    """A tiny model whose latents vary and whose scales suit them."""
    if name.startswith("weconv"):
        return weconv_models.tiny(int(name[-1]))
    if name in ("hpcm_1b", "lalic"):
        return make_lively_model(name, OPTIONS[name])
    torch.manual_seed(0)
    if ":" in name:
        model = create_model(name).eval()
        with torch.no_grad():
            model.g_a[-1].weight.mul_(50)
            model.h_a[-1].weight.mul_(50)
        use_tables(model)
        return model
    return roughened(create_model(name, **OPTIONS[name]))


def image(model: Any) -> Tensor:
    """The smallest picture that a model codes without padding; the tiny ones of the WeConv line need less."""
    side = 64 if getattr(model, "M", 0) == 8 and hasattr(model, "idwt") else model.padding_multiple
    pixels = picture(side, side)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def test_no_symbol_changes_under_other_settings_of_the_processor(tmp_path: Path) -> None:
    assert set(OPTIONS) >= set(MODELS)
    latents = {}
    for name in OPTIONS:
        model = lively(name)
        latents[name] = write_exact_file(tmp_path / f"{name}.exact", name, OPTIONS[name], model, image(model))
    for name in MINIATURES:
        spec = choose_point(name, 0.0067)
        model = create_model(spec.settings["model"], **spec.settings["options"]).eval()
        load_weights(model, read_weights(Path(spec.location["checkpoint"])))
        latents[name] = write_exact_file(tmp_path / f"{name}.exact", spec.settings["model"], spec.settings["options"],
                                         model, image(model))

    elsewhere = decode_elsewhere(tmp_path)
    for name, here in latents.items():
        assert here.round().unique().numel() > 2, name
        # One symbol more or less is a step of the latents, at least a tenth of one in units of the synthesis.
        torch.testing.assert_close(elsewhere[name], here, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ("hpcm_large", "rwkv_phase1", "rwkv_phase2")])
def test_what_decides_a_row_is_float64_and_the_rest_is_not(name: str) -> None:
    """All that a decoder runs before the synthesis gets, holds and gives float64; the transforms float32."""
    codec = LearnedCodec(lively(name), "cpu", exact=True)
    model: Any = codec._model
    stream = codec.encode(picture(64, 64)).stream
    seen: dict[str, set[torch.dtype]] = {}

    def watch(name: str) -> Any:
        def note(module: nn.Module, inputs: tuple, output: Any) -> None:
            tensors = [one for one in (*inputs, output, *module.parameters(recurse=False)) if isinstance(one, Tensor)]
            seen.setdefault(name, set()).update(one.dtype for one in tensors if one.is_floating_point())

        return note

    for path, module in model.named_modules():
        if not list(module.children()) and "likelihood" not in path:
            module.register_forward_hook(watch(path))
    codec.decode(stream)

    transforms = {path: dtypes for path, dtypes in seen.items()
                  if path.removeprefix("model.").startswith(("g_s", "idwt"))}
    deciding = {path: dtypes for path, dtypes in seen.items() if path not in transforms}
    assert transforms and deciding
    assert set().union(*transforms.values()) == {torch.float32}
    assert {path: dtypes for path, dtypes in deciding.items() if dtypes != {torch.float64}} == {}


def test_latents_between_channel_groups_are_float64() -> None:
    codec = LearnedCodec(lively("lalic"), "cpu", exact=True)
    joined: set[torch.dtype] = set()
    groups = codec._model.latent_codec["y"]
    merge = groups.merge_y

    def watch(*latents: Tensor) -> Tensor:
        joined.update(part.dtype for part in latents)
        return merge(*latents)

    groups.merge_y = watch
    stream = codec.encode(picture(64, 64)).stream
    codec.decode(stream)
    assert joined == {torch.float64}


def test_exact_and_default_codecs_refuse_each_others_files() -> None:
    codecs = {exact: LearnedCodec(tiny_model(), "cpu", "agreed", exact=exact) for exact in (False, True)}
    pixels = picture(40, 30)
    files = {exact: codec.encode(pixels).stream for exact, codec in codecs.items()}
    for exact, codec in codecs.items():
        assert codec.decode_checked(files[exact]).checked
        with pytest.raises(CodecError, match="decode it " + ("without" if exact else "with") + " --exact"):
            codec.decode(files[not exact])


def test_exact_costs_next_to_no_rate() -> None:
    pixels = picture(256, 256)
    default, exact = (LearnedCodec(tiny_model(), "cpu", exact=exact).encode(pixels) for exact in (False, True))
    assert abs(len(exact.stream) - len(default.stream)) <= 1 + 0.001 * len(default.stream)


def test_scale_on_an_edge_moves_the_edges() -> None:
    table = scale_table()
    far = (table[:-1].double() * table[1:].double()).sqrt()  # half-way between edges
    assert find_shift(far, table) == 0
    on_edge = torch.cat((far, table[7:8].double()))
    assert find_shift(on_edge, table) == 1
    both = torch.cat((on_edge, shift_edges(table, 1)[20:21] * (1 + MARGIN / 2)))
    assert find_shift(both, table) == 2
    rows = scale_index(both, shift_edges(table, 2))
    for drift in (1 - 1e-10, 1 + 1e-10):
        assert torch.equal(scale_index(both * drift, shift_edges(table, 2)), rows)

    everywhere = torch.cat([shift_edges(table, shift)[:1] for shift in range(SHIFTS)])
    with pytest.raises(CodecError, match="shifts"):
        find_shift(everywhere, table)


def test_shifts_are_apart_by_more_than_margins_and_cost_nothing() -> None:
    assert STEP > 100 * MARGIN
    assert SHIFTS * STEP < 1e-3  # of a scale, where neighbouring rows are eleven per cent apart


class Constant(nn.Module):
    """A hyper decoder that gives every latent the same scale, and means of 0."""

    def __init__(self, scale: float, width: int, factor: int) -> None:
        super().__init__()
        self.scale, self.width, self.factor = scale, width, factor

    def forward(self, z: Tensor) -> Tensor:
        scales = z.new_full((len(z), self.width, z.shape[2] * self.factor, z.shape[3] * self.factor), self.scale)
        return torch.cat((scales, torch.zeros_like(scales)), dim=1)


def test_file_whose_scales_lie_on_an_edge_decodes_though_they_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the shift, a scale of an edge and one a little larger have different rows."""
    model = tiny_model()
    make_exact(model)
    edge = float(model.scale_table[30])
    monkeypatch.setattr(type(model), "predict", lambda self, number, i, context, latents, state: Constant(
        edge, self.M, 1)(latents))
    monkeypatch.setattr(type(model), "next_context", lambda self, number, i, parameters, context, state: parameters)
    x = image(model)
    encoded = model.encode_image(x)
    assert split_agreement(encoded.streams["y"])[0].shift == 1

    here = model.decode_image(list(encoded.streams.values()), encoded.shape)
    monkeypatch.setattr(type(model), "predict", lambda self, number, i, context, latents, state: Constant(
        edge * (1 + 1e-12), self.M, 1)(latents))
    there = model.decode_image(list(encoded.streams.values()), encoded.shape)
    assert here.latents_crc == there.latents_crc == encoded.latents_crc


@pytest.mark.parametrize("agreement", [Agreement(), Agreement(5), Agreement(127, (0, 3, 1)), Agreement(0, (0,) * 255)])
def test_agreement_comes_back(agreement: Agreement) -> None:
    assert split_agreement(bytes(agreement) + b"rest") == (agreement, b"rest")


@pytest.mark.parametrize("stream", [b"", b"\x80", b"\x81\x02\x00"])
def test_cut_agreement_is_an_error(stream: bytes) -> None:
    with pytest.raises(CodecError, match="ends within"):
        split_agreement(stream)


def test_choices_between_near_equals_are_written_down() -> None:
    table, scales = scale_table(), torch.ones(3, dtype=torch.float64)
    clear = torch.tensor([[0.3, 0.9, 0.1]], dtype=torch.float64)
    near = torch.tensor([[0.3, 0.9, 0.3 + 1e-12]], dtype=torch.float64)
    chosen = torch.tensor([[1, 2]])
    assert is_clear(clear, torch.tensor([[1, 0]])) and not is_clear(near, chosen)
    assert is_clear(near, torch.tensor([[1, 2, 0]]))  # all are chosen: their order changes nothing
    assert agree(scales, table, [(clear, torch.tensor([[1, 0]]))]).slots == ()
    assert agree(scales, table, [(clear, torch.tensor([[1, 0]])), (near, chosen)]).slots == (1, 0, 1, 2)


def test_decoder_follows_the_encoders_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that are equal to rounding: the encoder's rounding decides, not the decoder's."""
    model = lively("multiref_phase2")
    make_exact(model)
    calls: list[Tensor] = []

    def scores(self: Any, query: Tensor, keys: Tensor) -> Tensor:
        calls.append(query)
        return 1 + sign * 1e-13 * torch.arange(keys.shape[1], dtype=torch.float64)[None]

    monkeypatch.setattr(type(model.memory_bank_s3), "scores", scores)
    sign = 1
    encoded = model.encode_image(image(model))
    agreement, _ = split_agreement(encoded.streams["y"])
    assert agreement.slots and calls
    sign = -1  # the other rounding
    decoded = model.decode_image(list(encoded.streams.values()), encoded.shape)
    assert decoded.latents_crc == encoded.latents_crc

    y, z = encoded.streams.values()
    for slots in ((*agreement.slots, 0), agreement.slots[:-1], (*agreement.slots[:-1], 200)):
        with pytest.raises(CodecError):
            model.decode_image([bytes(Agreement(agreement.shift, slots)) + split_agreement(y)[1], z], encoded.shape)


def test_keys_of_rounding_alone_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="rounding"):
        make_exact(create_model("multiref_phase1", **TINY))
    make_exact(create_model("multiref_phase1", **TINY, enable_multiref=False))


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("native", [True, False])
def test_depthwise_operator_is_torchs_convolution(side: int, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_NATIVE", str(int(native)))
    torch.manual_seed(0)
    for channels, height, width in ((5, 7, 4), (16, 2, 1), (19, 1, 9)):
        x = torch.randn(2, channels, height, width, dtype=torch.float64)
        weight = torch.randn(channels, 1, side, side, dtype=torch.float64)
        for bias in (torch.randn(channels, dtype=torch.float64), None):
            expected = torch.conv2d(x, weight, bias, padding=side // 2, groups=channels)
            torch.testing.assert_close(convolve_depthwise(x, weight, bias), expected, rtol=1e-13, atol=1e-13)


def test_models_without_exact_configuration_are_refused() -> None:
    class Mine(nn.Module):
        def compress(self, x: Tensor) -> dict:
            return {}

        decompress = update = compress

    with pytest.raises(ConfigurationError, match="Mine has no exact configuration"):
        LearnedCodec(Mine(), "cpu", exact=True)
    assert explain_no_exact("compressai:cheng2020-attn") and explain_no_exact("compressai:mbt2018-mean-vbr")
    with pytest.raises(ConfigurationError, match="no exact configuration"):
        LearnedCodec(create_model("compressai:mbt2018", quality=1), "cpu", exact=True)
    assert all(explain_no_exact(f"compressai:{name}") is None for name in ZOO_EXACT)
    assert all(explain_no_exact(name) is None for name in MODELS)


def test_exact_is_a_series_of_its_own_and_changes_no_other() -> None:
    variant = load_learned()["hpcm_base_mini"]
    default, exact = (make_spec(variant, 0.0067, Path("x"), exact) for exact in (False, True))
    assert "exact" not in default.settings and default.name == "hpcm_base_mini"
    assert (exact.name, exact.settings["label"]) == ("hpcm_base_mini_exact", "HPCM-Base (miniature), exact")
    for names in (["hpcm_base_mini"], ["hpcm_base_mini_exact"]):
        specs = choose_codecs([*names, "jpeg"], exact=True).specs
        assert {spec.name for spec in specs} == {"hpcm_base_mini_exact", "jpeg"}


def test_model_without_exact_configuration_is_missing() -> None:
    chosen = choose_codecs(["cheng2020_attn", "hpcm_base_mini"], exact=True)
    (missing,) = chosen.missing
    assert missing.what == "cheng2020_attn" and "no exact configuration" in missing.reason and missing.named
    with pytest.raises(ConfigurationError, match="no exact configuration"):
        choose_point("cheng2020_attn", 0.0067, exact=True)


def test_default_model_is_what_it_was_before_another_was_made_exact() -> None:
    model = tiny_model()
    x = image(model)
    before = model.encode_image(x)
    make_exact(copy.deepcopy(model))
    after = model.encode_image(x)
    assert before.streams == after.streams
    assert Quantiser(torch.zeros(1, 1, 1, 1)).choices == []

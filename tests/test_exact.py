"""Exact models: what decides a table's row is float64, and another processor's settings change no symbol."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from exact_files import decode_elsewhere, write_exact_file
from tiny_models import TINY, picture, tiny_model

from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import CodecError
from bench.models import MODELS
from bench.runners.profile.subjects import make_lively_model

WECONV = {**TINY, "stages": [[8, 1], [8, 2]], "attention_heads": 2}
OPTIONS = {
    **{name: TINY for name in MODELS},
    "multiref_phase1": {**TINY, "compress_ratio": 1},  # else keys are zero
    "multiref_phase2": {**TINY, "compress_ratio": 1},
    "hpcm_phi": {**TINY, "head_width": None},
    "hpcm_1b": {**TINY, "stages": [[8, 1], [8, 1], [8, 1]], "head_width": None, "adaptor_depths": [1, 1, 1]},
    **{f"weconv_phase{phase}": {key: WECONV[key] for key in WECONV if phase > 3 or key != "attention_heads"}
       for phase in range(1, 6)},
}
del OPTIONS["lalic"]


def image(width: int, height: int) -> torch.Tensor:
    return torch.from_numpy(picture(width, height)).permute(2, 0, 1)[None].float() / 255


def test_no_symbol_changes_under_other_settings_of_the_processor(tmp_path: Path) -> None:
    latents = {}
    for name, options in OPTIONS.items():
        model = make_lively_model(name, options)
        x = image(model.padding_multiple, model.padding_multiple)
        latents[name] = write_exact_file(tmp_path / f"{name}.exact", name, options, model, x)
    elsewhere = decode_elsewhere(tmp_path)
    for name, here in latents.items():
        print(name, here.shape, here.abs().max().item(), (elsewhere[name]-here).abs().max().item())
        assert here.round().unique().numel() > 2, name
        torch.testing.assert_close(elsewhere[name], here, rtol=0, atol=1e-5, msg=name)


def test_exact_and_default_codecs_refuse_each_others_files() -> None:
    codecs = {exact: LearnedCodec(tiny_model(), "cpu", "agreed", exact=exact) for exact in (False, True)}
    pixels = picture(40, 30)
    files = {exact: codec.encode(pixels).stream for exact, codec in codecs.items()}
    for exact, codec in codecs.items():
        assert codec.decode_checked(files[exact]).checked
        with pytest.raises(CodecError, match="decode it " + ("without" if exact else "with") + " --exact"):
            codec.decode(files[not exact])

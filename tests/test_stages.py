"""Stages: exclusive times that add up, marks that come and go without a trace, the stages of every kind of model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compressai.ans import RansDecoder
from tiny_models import picture, tiny_model

from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import CodecError
from bench.models import create_model
from bench.models.coders import Reader
from bench.operators import rans
from bench.results.stages import CODING, COLOURS, REST, SCALES, STAGES
from bench.runners.machine import time_call
from bench.runners.profile.memory import peak_memory
from bench.runners.profile.stages import Timeline, host_timeline, mark_stages


class Ticks:
    """A clock that moves by one with every reading, or by as much as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_nested_stages_are_exclusive_and_add_up():
    clock = Ticks()
    timeline = host_timeline(clock)
    timeline.enter("transfers")
    clock.passes(1)
    timeline.enter("analysis")
    clock.passes(2)
    timeline.enter("entropy coding")
    clock.passes(4)
    timeline.leave()
    clock.passes(8)
    timeline.leave()
    clock.passes(16)
    timeline.leave()
    assert timeline.stage_seconds(total_s=31) == {"transfers": 17, "analysis": 10, "entropy coding": 4, REST: 0}
    assert timeline.calls == {"transfers": 1, "analysis": 1, "entropy coding": 1}


def test_what_the_whole_has_beyond_the_marks_is_rest():
    clock = Ticks()
    timeline = host_timeline(clock)
    for _ in range(3):
        timeline.enter("analysis")
        clock.passes(1)
        timeline.leave()
        clock.passes(0.5)
    assert timeline.stage_seconds(total_s=10.0) == {"analysis": 3, REST: 7} and timeline.calls["analysis"] == 3


def test_a_stage_inside_itself_counts_once():
    clock = Ticks()
    timeline = host_timeline(clock)
    for _ in range(2):
        timeline.enter("synthesis")
        clock.passes(1)
    timeline.leave()
    timeline.leave()
    assert timeline.calls == {"synthesis": 1} and timeline.stage_seconds(total_s=2) == {"synthesis": 2, REST: 0}


def test_a_renamed_stage_goes_on_under_its_new_name():
    clock = Ticks()
    timeline = host_timeline(clock)
    timeline.enter("rest")
    timeline.enter("context")
    clock.passes(1)
    timeline.rename(1, "context s1")
    clock.passes(2)
    timeline.enter("entropy coding")
    timeline.rename(1, "context s2")  # while another stage runs inside it
    clock.passes(4)
    timeline.leave()
    clock.passes(8)
    timeline.leave()
    timeline.leave()
    seconds = timeline.stage_seconds(total_s=15)
    assert {name: value for name, value in seconds.items() if value} == {
        "context": 1, "context s1": 2, "entropy coding": 4, "context s2": 8}


def test_marks_may_be_of_any_kind():
    """As with CUDA's events: times between marks are asked for after the pass only."""
    marks = iter("acf")
    timeline = Timeline(lambda: next(marks), lambda start, end: ord(end) - ord(start))
    timeline.enter("analysis")
    timeline.enter("entropy coding")
    timeline.leave()
    with pytest.raises(StopIteration):
        timeline.leave()
    assert timeline.stage_seconds(total_s=5) == {"analysis": 2, "entropy coding": 3, REST: 0}


@pytest.fixture(scope="module")
def tiny() -> tuple[LearnedCodec, torch.nn.Module, np.ndarray]:
    model = tiny_model()
    return LearnedCodec(model, "cpu"), model, picture(96, 80)


def stages_of(codec, model, function) -> tuple[object, dict, dict]:
    timeline = host_timeline()
    with mark_stages(codec, model, timeline):
        result, total_s = time_call(function)
    seconds = timeline.stage_seconds(total_s)
    assert sum(seconds.values()) == pytest.approx(total_s, rel=1e-9)
    assert all(value >= 0 for value in seconds.values()) and set(seconds) <= set(COLOURS)
    return result, seconds, timeline.calls


def test_every_stage_of_a_model_is_seen(tiny):
    codec, model, image = tiny
    encoding, encode_s, encode_calls = stages_of(codec, model, lambda: codec.encode(image))
    decoded, decode_s, decode_calls = stages_of(codec, model, lambda: codec.decode(encoding.stream))
    assert set(encode_s) == set(COLOURS) - {"synthesis"}
    assert set(decode_s) == set(COLOURS) - {"analysis", "hyper analysis"}
    assert encode_calls[CODING] == 2  # latents, hyper-latents
    assert decode_calls[CODING] == 1 + 2 + 3 + 6  # hyper-latents, then the steps of each scale
    assert all(decode_calls[scale] >= 1 for scale in SCALES)
    assert np.array_equal(decoded, codec.decode(encoding.stream))
    assert codec.encode(image).stream == encoding.stream


def test_every_stage_has_a_name_and_a_colour_of_its_own():
    assert len(COLOURS) == len(set(COLOURS.values())) == len(STAGES)


def snapshot(codec, model) -> list:
    """Attributes of instances and what was patched beside them."""
    modules = [sorted(vars(module)) for module in model.modules()]
    return [sorted(vars(codec)), modules, rans.encode, rans.Decoder.decode, Reader.code, RansDecoder.decode_stream]


def test_marks_leave_nothing_behind(tiny):
    codec, model, image = tiny
    before = snapshot(codec, model)
    with mark_stages(codec, model, host_timeline()):
        assert snapshot(codec, model) != before
        codec.encode(image)
    assert snapshot(codec, model) == before


def test_marks_leave_nothing_behind_after_an_exception(tiny):
    codec, model, image = tiny
    before = snapshot(codec, model)
    stream = codec.encode(image).stream
    timeline = host_timeline()
    failure = model.g_s.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(CodecError, match="ZeroDivisionError"), mark_stages(codec, model, timeline):
        codec.decode(stream)
    failure.remove()
    assert timeline.enter("analysis") == 0
    assert snapshot(codec, model) == before


def test_a_forward_that_was_replaced_before_is_put_back(tiny):
    codec, model, image = tiny
    own = type(model.g_a).forward.__get__(model.g_a)
    model.g_a.forward = own
    try:
        with mark_stages(codec, model, host_timeline()):
            codec.encode(image)
        assert model.g_a.forward is own
    finally:
        del model.g_a.forward


@pytest.mark.parametrize(("name", "options", "stages", "calls"), [
    ("compressai:mbt2018-mean", {"quality": 1}, {"analysis", "hyper analysis", "hyper synthesis", CODING}, 2),
    ("compressai:cheng2020-anchor", {"quality": 1}, {"analysis", "hyper analysis", "hyper synthesis", CODING,
                                                     "context"}, 1 + 16),
    ("lalic", {"N": 8, "dims": (8, 8, 8, 16, 8, 8), "depths": (1, 1, 1, 1), "groups": (8, 8), "rate": 1},
     {"analysis", "hyper analysis", "hyper synthesis", CODING, "context"}, 1 + 2 * 2),
    ("compressai:bmshj2018-factorized", {"quality": 1}, {"analysis", CODING}, 1),
])
def test_models_of_other_kinds(name, options, stages, calls):
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    model.update(force=True)
    codec, image = LearnedCodec(model, "cpu"), picture(64, 64)
    encoding, encode_s, _ = stages_of(codec, model, lambda: codec.encode(image))
    _, decode_s, decode_calls = stages_of(codec, model, lambda: codec.decode(encoding.stream))
    assert stages | {"transfers", REST} == set(encode_s)
    assert (stages - {"analysis", "hyper analysis"}) | {"synthesis", "transfers", REST} == set(decode_s)
    assert decode_calls[CODING] == calls


def test_memory_is_attributed_to_stages(tiny):
    codec, model, image = tiny

    def encode(recorder) -> None:
        with mark_stages(codec, model, recorder):
            codec.encode(image)

    peak = peak_memory(encode, "cpu", 0)
    assert peak["peak_alloc_bytes"] == max(peak["stage_peak_alloc_bytes"].values())
    assert {"analysis", *SCALES, CODING} <= set(peak["stage_peak_alloc_bytes"])

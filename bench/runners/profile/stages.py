"""Where the time of an encode or decode goes: what records the stages of a codec.

Every moment of a pass belongs to one stage, the innermost that is running, so that stages never count twice and always
add up to the whole. :func:`mark_stages` wraps methods of one codec for the duration of a pass and restores them, so the
models' code holds no marks and runs without any cost when none are set.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Generic, TypeVar
from unittest import mock  # which also restores what an object only inherits

import torch
from torch import nn

from bench.codecs.learned_codec import LearnedCodec
from bench.common.import_paths import find_imported
from bench.models.coders import Reader
from bench.operators import rans
from bench.results.stages import CODING, CONTEXT, REST, SCALES, STAGES, TRANSFERS

PROFILER_PREFIX = "bench stage: "
METHODS = {method: stage.name for stage in STAGES for method in stage.methods}  # of a model
CODERS = ((rans, "encode"), (rans.Decoder, "decode"), (Reader, "code"))
COMPRESSAIS_CODERS = (
    ("RansEncoder", "encode_with_indexes"), ("BufferedRansEncoder", "encode_with_indexes"),
    ("BufferedRansEncoder", "flush"), ("RansDecoder", "decode_with_indexes"), ("RansDecoder", "decode_stream"),
)
CONTAINERS = (  # CompressAI's modules that code latents, and the stage of what they do besides calling a coder
    ("compressai.entropy_models", ("EntropyModel",), CODING),
    ("compressai.latent_codecs", ("ChannelGroupsLatentCodec", "CheckerboardLatentCodec"), CONTEXT),
)

M = TypeVar("M")


class Recorder:
    """Is told of stages; a stage ends where another one begins, and goes on where that one is left.

    Args:
        changed: is told the innermost stage whenever another one may have become it.

    Attributes:
        calls: how often each stage was entered from another one.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._stack: list[str] = []
        self._changed = changed
        self.calls: Counter[str] = Counter()

    def enter(self, stage: str) -> int:
        """A stage begins inside the current one; returns as number what it is entered (0: the first)."""
        if not self._stack or self._stack[-1] != stage:
            self.calls[stage] += 1
        self._stack.append(stage)
        self._changed(stage)
        return len(self._stack) - 1

    def leave(self) -> None:
        """The current stage ends; the one around it goes on."""
        self._stack.pop()
        self._changed(self._stack[-1] if self._stack else REST)

    def rename(self, depth: int, stage: str) -> None:
        """From now on the stage entered as number ``depth`` is another one."""
        if self._stack[depth] != stage:
            self.calls[stage] += 1
            self._stack[depth] = stage
            self._changed(self._stack[-1])


class Timeline(Recorder, Generic[M]):
    """A recorder that takes a mark wherever the stage changes.

    Args:
        mark: returns a mark of the moment.
        seconds_between: returns the seconds between two marks; called after the pass only.
    """

    def __init__(self, mark: Callable[[], M], seconds_between: Callable[[M, M], float]) -> None:
        super().__init__(self._add_mark)
        self._mark, self._seconds_between = mark, seconds_between
        self._marks: list[tuple[str, M]] = []  # the stage that begins, and when

    def stage_seconds(self, total_s: float) -> dict[str, float]:
        """Return the seconds of each stage that ran, without those inside it; they add up to ``total_s``.

        Args:
            total_s: of the whole pass by another clock; what it has beyond the marks is "rest".
        """
        seconds: dict[str, float] = defaultdict(float)
        for (stage, start), (_, end) in zip(self._marks, self._marks[1:]):
            seconds[stage] += self._seconds_between(start, end)
        seconds[REST] += total_s - sum(seconds.values())
        return dict(seconds)

    def _add_mark(self, stage: str) -> None:
        if not self._marks or self._marks[-1][0] != stage or not self._stack:
            self._marks.append((stage, self._mark()))


def host_timeline(clock: Callable[[], float] = time.perf_counter) -> Timeline[float]:
    """Marks by the host's clock, for work on a CPU."""
    return Timeline(clock, lambda start, end: end - start)


def cuda_timeline() -> Timeline[torch.cuda.Event]:
    """Marks as events in the GPU's queue, for work that runs there while the host is ahead of it.

    Synchronise before asking for the seconds. Time in which the GPU waits for the host, as while symbols are
    coded there, belongs to the stage that the host is in.
    """
    def mark() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    return Timeline(mark, lambda start, end: start.elapsed_time(end) / 1000)


@contextmanager
def profiler_marks() -> Iterator[Recorder]:
    """Make stages spans of torch.profiler, one after another: nested ones end where others begin."""
    spans: list[torch.profiler.record_function] = []

    def change(stage: str) -> None:
        if spans:
            spans.pop().__exit__(None, None, None)
        spans.append(torch.profiler.record_function(PROFILER_PREFIX + stage))
        spans[-1].__enter__()

    change(REST)
    try:
        yield Recorder(change)
    finally:
        spans.pop().__exit__(None, None, None)


@contextmanager
def mark_stages(codec: LearnedCodec, model: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Tell ``recorder`` of every stage that ``codec``, made of ``model``, goes through.

    However it ends, nothing stays changed.
    """
    with ExitStack() as stack:
        for method in ("encode", "decode"):
            _mark_method(stack, codec, method, recorder, TRANSFERS)
        _mark_model(stack, model, recorder)
        for owner, method in CODERS:
            _mark_method(stack, owner, method, recorder, CODING)
        for name, method in COMPRESSAIS_CODERS:
            for owner in find_imported("compressai.ans", name):
                _mark_method(stack, owner, method, recorder, CODING)
        yield


def _mark_model(stack: ExitStack, model: nn.Module, recorder: Recorder) -> None:
    has_scales = hasattr(model, "walk") and hasattr(model, "enter_scale")
    for name, stage in METHODS.items():
        found = getattr(model, name, None)
        if isinstance(found, nn.Module):
            _mark_method(stack, found, "forward", recorder, stage)
        elif callable(found) and not (name == "walk" and has_scales):
            _mark_method(stack, model, name, recorder, stage)
    if has_scales:
        _mark_scales(stack, model, recorder)

    containers = [(find_imported(place, *names), stage) for place, names, stage in CONTAINERS]
    for module in model.modules():
        for kinds, stage in containers:
            if isinstance(module, kinds):
                _mark_method(stack, module, "compress", recorder, stage)
                _mark_method(stack, module, "decompress", recorder, stage)


def _mark_scales(stack: ExitStack, model: Any, recorder: Recorder) -> None:
    """Count the walk over the steps as the scale that it last entered."""
    walk, enter_scale = model.walk, model.enter_scale
    depths: list[int] = []  # of the walks that run

    @wraps(walk)
    def marked_walk(*arguments: Any, **options: Any) -> Any:
        depths.append(recorder.enter(CONTEXT))
        try:
            return walk(*arguments, **options)
        finally:
            recorder.leave()
            depths.pop()

    @wraps(enter_scale)
    def marked_enter(number: int, *arguments: Any, **options: Any) -> Any:
        recorder.rename(depths[-1], SCALES[number])
        return enter_scale(number, *arguments, **options)

    stack.enter_context(mock.patch.multiple(model, walk=marked_walk, enter_scale=marked_enter))


def _mark_method(stack: ExitStack, owner: Any, name: str, recorder: Recorder, stage: str) -> None:
    """Make ``owner.name`` a stage until ``stack`` is closed."""
    function = getattr(owner, name)

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        recorder.enter(stage)
        try:
            return function(*arguments, **options)
        finally:
            recorder.leave()

    stack.enter_context(mock.patch.object(owner, name, call))

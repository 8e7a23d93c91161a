"""Marks on the stages of a codec, set from outside for single passes.

:func:`mark_stages` wraps methods of one codec for the duration of a pass and restores them, so the models' code holds
no marks and runs without any cost when none are set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock  # which also restores what an object only inherits

from compressai.ans import BufferedRansEncoder, RansDecoder, RansEncoder
from compressai.entropy_models import EntropyModel
from compressai.latent_codecs import ChannelGroupsLatentCodec, CheckerboardLatentCodec
from torch import nn

from bench.codecs.learned import LearnedCodec
from bench.models.coders import Reader
from bench.operators import rans
from bench.results.stages import CODING, CONTEXT, SCALES, STAGES, TRANSFERS
from bench.runners.profile.stages import Recorder

METHODS = {method: stage.name for stage in STAGES for method in stage.methods}  # of a model
CODERS = (
    (rans, "encode"), (rans.Decoder, "decode"), (Reader, "code"),
    (RansEncoder, "encode_with_indexes"), (BufferedRansEncoder, "encode_with_indexes"), (BufferedRansEncoder, "flush"),
    (RansDecoder, "decode_with_indexes"), (RansDecoder, "decode_stream"),
)

CONTAINERS = {  # modules that code latents, to the stage of what they do besides calling a coder
    (EntropyModel,): CODING, (ChannelGroupsLatentCodec, CheckerboardLatentCodec): CONTEXT,
}


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

    for module in model.modules():
        for kinds, stage in CONTAINERS.items():
            if isinstance(module, kinds):
                _mark_method(stack, module, "compress", recorder, stage)
                _mark_method(stack, module, "decompress", recorder, stage)


def _mark_scales(stack: ExitStack, model: Any, recorder: Recorder) -> None:
    """Count the walk over the steps as the scale that it last entered."""
    walk, enter_scale = model.walk, model.enter_scale
    depths: list[int] = []  # of the walks that run

    @wraps(walk)
    def marked_walk(*arguments: Any, **options: Any) -> Any:
        depths.append(recorder.depth)
        recorder.enter(CONTEXT)
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

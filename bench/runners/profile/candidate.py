"""One variant ready to be measured: its passes, and everything about them but their times in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bench.codecs.base import Encoding
from bench.common.errors import CodecError
from bench.results.latency_rows import DECODE, ENCODE
from bench.runners.allocator import release_freed_memory
from bench.runners.machine import timed
from bench.runners.profile.complexity import (
    Count,
    count_macs,
    count_parameters,
    parameters_by_module,
    read_parameters,
    skipped_macs,
)
from bench.runners.profile.configurations import CONFIGURATIONS, DEFAULT
from bench.runners.profile.memory import PeakRss, peak_memory, rss_bytes, weights_bytes
from bench.runners.profile.plan import DIRECTIONS, Frame, Settings
from bench.runners.profile.stage_marks import marked
from bench.runners.profile.stages import Breakdown, Recorder, cuda_timeline, host_timeline
from bench.runners.profile.subjects import Subject, build, padding_of

STAGE_PASSES = 3

Fields = dict[str, Any]
_Counts = dict[str, tuple[Count, set[str]]]  # of a direction: operations, and the parameters that are read


@dataclass
class _AtFrame:
    """What is known of a candidate at one frame."""

    images: list[np.ndarray]
    streams: list[bytes]
    common: Fields = field(default_factory=dict)
    directions: dict[str, Fields] = field(default_factory=lambda: {ENCODE: {}, DECODE: {}})


class Candidate:
    """Builds a subject's codec in its configuration.

    Args:
        subject: what to measure.
        settings: of the run.

    Raises:
        Exception: whatever building a model, or coding with it, raises.
    """

    def __init__(self, subject: Subject, settings: Settings) -> None:
        self._subject, self._settings = subject, settings
        self._configuration = CONFIGURATIONS.get(subject.configuration)
        before = self._allocated()
        built = build(subject, settings.device)
        self._codec, self._model = built.codec, built.model
        self._frames: dict[Frame, _AtFrame] = {}
        self._plain: dict[Frame, tuple[list[bytes], _Counts]] = {}  # what the default configuration gives
        update = getattr(self._model, "update", lambda force: None)
        self._read_by_tables = read_parameters(self._model, lambda: update(force=True))
        if subject.configuration != DEFAULT:
            for frame in settings.frames:
                images = frame.images(settings.batch)
                streams = [encoding.stream for encoding in self._encode(images)]
                counts: _Counts = {}
                self._count(lambda images=images: self._encode(images), counts, ENCODE)
                self._count(lambda streams=streams: self._decode(streams), counts, DECODE)
                self._plain[frame] = streams, counts
            self._configuration.apply(self._model, settings.device)
        self._held = self._allocated() - before  # on a GPU, with what first passes leave there

    def examine(self, frame: Frame, step: Callable[[str], None]) -> None:
        """Make the first passes at a frame, check the result, and take stages, memory and operations.

        Raises:
            CodecError: the configuration must decode exactly and doesn't.
        """
        images = frame.images(self._settings.batch)
        before = self._allocated()
        step("first encode")
        encodings, first_encode_s = timed(self._encode, images)
        streams = [encoding.stream for encoding in encodings]
        step("first decode")
        decoded, first_decode_s = timed(self._decode, streams)
        at = self._frames[frame] = _AtFrame(images, streams)
        self._held += self._allocated() - before
        at.directions[ENCODE]["first_s"], at.directions[DECODE]["first_s"] = first_encode_s, first_decode_s
        at.common = self._common(frame, encodings, decoded)
        plain = self._plain.get(frame)
        counts = {} if plain is None else dict(plain[1])
        for direction in DIRECTIONS:
            step(f"stages of {direction}")
            at.directions[direction] |= self._process_memory(self.function(frame, direction))
            at.directions[direction] |= self._stages(self.staged(frame, direction))
            step(f"memory and operations of {direction}")
            new_counts = counts if plain is None else None
            at.directions[direction] |= self._memory(self.staged(frame, direction), new_counts, direction)
        for direction, fields in self._complexity(counts, frame).items():
            at.directions[direction] |= fields

    def prepare(self, frame: Frame) -> None:
        """Only make the streams that :meth:`function` decodes."""
        images = frame.images(self._settings.batch)
        self._frames[frame] = _AtFrame(images, [encoding.stream for encoding in self._encode(images)])

    def staged(self, frame: Frame, direction: str) -> Callable[[Recorder], object]:
        """One pass that tells a recorder of its stages."""
        function = self.function(frame, direction)

        def staged_pass(recorder: Recorder) -> object:
            with marked(self._codec, self._model, recorder):
                return function()
        return staged_pass

    def function(self, frame: Frame, direction: str) -> Callable[[], object]:
        """One pass at an examined frame: all images of the batch, one after another."""
        at = self._frames[frame]
        return (lambda: self._encode(at.images)) if direction == ENCODE else (lambda: self._decode(at.streams))

    def fields(self, frame: Frame, direction: str, state: Fields) -> Fields:
        """The row fields of an examined frame; ``state`` is the machine's."""
        at = self._frames[frame]
        own = dict(at.directions[direction])
        peak_rss_method = own.pop("peak_rss_method")
        return {**at.common, **own, "state": {**state, "peak_rss": peak_rss_method}}

    def _encode(self, images: list[np.ndarray]) -> list[Encoding]:
        return [self._codec.encode(image) for image in images]

    def _decode(self, streams: list[bytes]) -> list[np.ndarray]:
        return [self._codec.decode(stream) for stream in streams]

    def _common(self, frame: Frame, encodings: list[Encoding], decoded: list[np.ndarray]) -> Fields:
        matches = all(self._matches(*pair) for pair in zip(encodings, decoded))
        if not matches and self._configuration.must_match:
            raise CodecError("the decoded image differs from the encoder's own in this configuration")
        streams = [encoding.stream for encoding in encodings]
        plain = self._plain.get(frame)
        return {
            "padding": padding_of(self._model, frame.width, frame.height),
            "bpp": 8 * sum(map(len, streams)) / (frame.width * frame.height * len(streams)),
            "decode_matches": matches, "changes_stream": plain is not None and plain[0] != streams,
            "weights_bytes": weights_bytes(self._model),
        }

    @staticmethod
    def _matches(encoding: Encoding, decoded: np.ndarray) -> bool:
        return np.array_equal(encoding.reconstruct(), decoded)

    @staticmethod
    def _process_memory(one_pass: Callable[[], object]) -> Fields:
        """Resident memory of the process before a pass and at its peak; nothing freed before is held."""
        release_freed_memory()
        before = rss_bytes()
        with PeakRss() as peak:
            one_pass()
        return {"rss_bytes": before, "peak_rss_bytes": peak.peak_bytes, "peak_rss_method": peak.method}

    def _stages(self, staged_pass: Callable[[Recorder], object]) -> Fields:
        """Passes with stages marked."""
        passes: list[Breakdown] = []
        while len(passes) < STAGE_PASSES:
            timeline = cuda_timeline() if self._settings.device == "cuda" else host_timeline()
            _, total_s = timed(staged_pass, timeline)
            passes.append(timeline.breakdown(total_s))
        names = dict.fromkeys(name for one in passes for name in one.seconds)
        return {
            "stages_s": {name: [one.seconds.get(name, 0.0) for one in passes] for name in names},
            "stage_calls": passes[0].calls, "stage_totals_s": [one.total_s for one in passes],
        }

    def _memory(self, staged_pass: Callable[[Recorder], object], counts: _Counts | None, direction: str) -> Fields:
        """Peak memory of a pass; where ``counts`` is given its operations too, which takes no memory."""
        def counted_pass(recorder: Recorder) -> None:
            self._count(lambda: staged_pass(recorder), counts, direction)

        held = self._held if self._settings.device == "cuda" else weights_bytes(self._model)
        peak = peak_memory(staged_pass if counts is None else counted_pass, self._settings.device, held)
        return {"peak_alloc_bytes": peak.alloc_bytes, "peak_reserved_bytes": peak.reserved_bytes,
                "stage_peak_alloc_bytes": peak.stage_alloc_bytes}

    def _allocated(self) -> int:
        """Bytes that a GPU's allocator has given out; 0 on a CPU."""
        return torch.cuda.memory_allocated() if self._settings.device == "cuda" else 0

    def _count(self, function: Callable[[], object], counts: _Counts, direction: str) -> None:
        """Add the operations of a pass, and the parameters that it reads."""
        found: list[Count] = []
        read = read_parameters(self._model, lambda: found.append(count_macs(function, self._model)))
        counts[direction] = found[0], read

    def _complexity(self, counts: _Counts, frame: Frame) -> dict[str, Fields]:
        """Row fields of what was counted in both directions."""
        left, top, right, bottom = padding_of(self._model, frame.width, frame.height)
        skipped = skipped_macs(self._model, frame.height + top + bottom, frame.width + left + right)
        used = set().union(*(read for _, read in counts.values()), self._read_by_tables)
        unused = sum(value.numel() for name, value in self._model.named_parameters() if name not in used)
        numbers = {"parameters": count_parameters(self._model), "unused_parameters": unused,
                   "module_parameters": parameters_by_module(self._model),
                   "skipped_macs": skipped * self._settings.batch}
        return {direction: {"macs": count.macs, "uncounted": list(count.uncounted),
                            "module_macs": dict(count.module_macs), **numbers}
                for direction, (count, _) in counts.items()}

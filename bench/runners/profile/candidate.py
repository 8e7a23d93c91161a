"""One variant ready to be measured: its passes, and everything about them but their times in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.codecs.base import Encoding
from bench.common.errors import CodecError
from bench.common.files import file_name, write_whole
from bench.models.coding_tables import use_tables
from bench.results.latency_rows import DECODE, DIRECTIONS, ENCODE, Direction
from bench.runners.machine import keep_freed_memory, release_freed_memory, time_call
from bench.runners.profile.complexity import (
    Count,
    count_macs,
    count_parameters,
    parameters_by_module,
    read_parameters,
    skipped_macs,
)
from bench.runners.profile.configurations import CONFIGURATIONS, DEFAULT
from bench.runners.profile.expected import FIRST_PASSES, MEMORY_PASSES, STAGE_PASSES
from bench.runners.profile.memory import PeakRss, StagedPass, peak_memory, rss_bytes, weights_bytes
from bench.runners.profile.plan import Picture, Settings
from bench.runners.profile.stages import Recorder, cuda_timeline, host_timeline, mark_stages, profiler_marks
from bench.runners.profile.subjects import Subject, build_codec

PASSES_WITH_STAGES = 3

Fields = dict[str, Any]
Counts = dict[Direction, tuple[Count, set[str]]]  # of a direction: operations, and the parameters that are read


@dataclass
class _CodedPicture:
    """What is known of a candidate's passes over one picture."""

    images: list[np.ndarray]
    streams: list[bytes]
    common: Fields
    directions: dict[Direction, Fields]


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
        self._on_gpu = settings.device == "cuda"
        self._configuration = CONFIGURATIONS.get(subject.configuration)
        self._coded: dict[Picture, _CodedPicture] = {}
        self._plain: dict[Picture, tuple[list[bytes], Counts]] = {}  # what the default configuration gives
        before = self._allocated_bytes()
        self._codec, self._model = build_codec(subject, settings.device)
        self._read_by_tables = read_parameters(self._model, lambda: use_tables(self._model))

        if subject.configuration != DEFAULT:
            for picture in settings.pictures:
                self._encode_picture(picture)
                passes = {direction: self.pass_over(picture, direction) for direction in DIRECTIONS}
                counts = {direction: self._count_pass(one_pass) for direction, one_pass in passes.items()}
                self._plain[picture] = self._coded[picture].streams, counts
            self._configuration.apply(self._model, settings.device)
        self._held_bytes = self._allocated_bytes() - before  # on a GPU, with what first passes leave there

    def examine(self, picture: Picture, step: Callable[[str, float], None]) -> None:
        """Make the first passes over a picture, check the result, and take stages, memory and operations.

        Args:
            step: is told what is done next, and how many usual passes that is worth.

        Raises:
            CodecError: the configuration must decode exactly and doesn't.
        """
        images = picture.make_images(self._settings.batch)
        before = self._allocated_bytes()
        step("first encode", FIRST_PASSES)
        encodings, first_encode_s = time_call(self._encode, images)
        streams = [encoding.stream for encoding in encodings]
        step("first decode", FIRST_PASSES)
        decoded, first_decode_s = time_call(self._decode, streams)
        self._held_bytes += self._allocated_bytes() - before

        first: dict[Direction, Fields] = {ENCODE: {"first_s": first_encode_s}, DECODE: {"first_s": first_decode_s}}
        coded = _CodedPicture(images, streams, self._common_fields(picture, encodings, decoded), first)
        self._coded[picture] = coded
        counts = dict(self._plain[picture][1]) if picture in self._plain else {}
        for direction, fields in coded.directions.items():
            staged_pass = self._staged_pass(picture, direction)
            step(f"stages of {direction}", STAGE_PASSES)
            fields |= self._measure_process(self.pass_over(picture, direction)) | self._measure_stages(staged_pass)
            step(f"memory and operations of {direction}", MEMORY_PASSES)
            fields |= self._measure_memory(staged_pass, counts, direction)

        for direction, found in self._complexity_fields(counts, picture, encodings[0].padding).items():
            coded.directions[direction] |= found

    def pass_over(self, picture: Picture, direction: Direction) -> Callable[[], object]:
        """One pass over an examined picture: all images of the batch, one after another."""
        coded = self._coded[picture]
        return partial(self._encode, coded.images) if direction == ENCODE else partial(self._decode, coded.streams)

    def row_fields(self, picture: Picture, direction: Direction, state: Fields) -> Fields:
        """The row fields of an examined picture; ``state`` is the machine's."""
        coded = self._coded[picture]
        own = dict(coded.directions[direction])
        peak_rss_method = own.pop("peak_rss_method")
        return {**coded.common, **own, "state": {**state, "peak_rss": peak_rss_method}}

    def write_traces(self, picture: Picture, folder: Path) -> list[Path]:
        """Look into single passes with torch.profiler, whose times are its own and never become rows.

        Traces are in Chrome's format, for Perfetto or chrome://tracing, with stages marked; a table of operators is
        beside each.

        Returns:
            The files written.
        """
        self._encode_picture(picture)
        self.pass_over(picture, DECODE)()
        order = "self_cuda_time_total" if self._on_gpu else "self_cpu_time_total"
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for direction in DIRECTIONS:
            with (torch.profiler.profile(record_shapes=True) as profiler,
                  profiler_marks() as recorder):
                time_call(self._staged_pass(picture, direction), recorder)
            stem = file_name(f"{self._subject.name}-{self._subject.configuration}-{picture}-{direction}"
                             f"-{self._settings.device}")
            trace, operators = folder / f"{stem}.trace.json", folder / f"{stem}.operators.txt"
            profiler.export_chrome_trace(str(trace))
            write_whole(operators, profiler.key_averages().table(sort_by=order, row_limit=60) + "\n")
            files += [trace, operators]
        return files

    def _encode_picture(self, picture: Picture) -> None:
        """Only make the streams that :meth:`pass_over` decodes."""
        images = picture.make_images(self._settings.batch)
        self._coded[picture] = _CodedPicture(images, [encoding.stream for encoding in self._encode(images)], {}, {})

    def _encode(self, images: list[np.ndarray]) -> list[Encoding]:
        return [self._codec.encode(image) for image in images]

    def _decode(self, streams: list[bytes]) -> list[np.ndarray]:
        return [self._codec.decode(stream) for stream in streams]

    def _staged_pass(self, picture: Picture, direction: Direction) -> StagedPass:
        """One pass that tells a recorder of its stages."""
        one_pass = self.pass_over(picture, direction)

        def run_marked(recorder: Recorder) -> object:
            with mark_stages(self._codec, self._model, recorder):
                return one_pass()

        return run_marked

    def _common_fields(self, picture: Picture, encodings: list[Encoding], decoded: list[np.ndarray]) -> Fields:
        matches = all(map(self._matches, encodings, decoded))
        if not matches and self._configuration.must_match:
            raise CodecError("the decoded image differs from the encoder's own in this configuration")

        streams = [encoding.stream for encoding in encodings]
        changes_stream = picture in self._plain and self._plain[picture][0] != streams
        return {
            "padding": encodings[0].padding,
            "bpp": 8 * sum(map(len, streams)) / (picture.width * picture.height * len(streams)),
            "decode_matches": matches, "changes_stream": changes_stream, "weights_bytes": weights_bytes(self._model),
        }

    @staticmethod
    def _matches(encoding: Encoding, decoded: np.ndarray) -> bool:
        own = encoding.reconstruct()
        return own is not None and np.array_equal(own, decoded)

    @staticmethod
    def _measure_process(one_pass: Callable[[], object]) -> Fields:
        """Resident memory of the process before a pass and at its peak; nothing freed before is held."""
        release_freed_memory()
        before = rss_bytes()
        with PeakRss() as peak:
            one_pass()
        return {"rss_bytes": before, "peak_rss_bytes": peak.peak_bytes, "peak_rss_method": peak.method}

    def _measure_stages(self, staged_pass: StagedPass) -> Fields:
        """Passes with stages marked."""
        passes: list[dict[str, float]] = []
        for _ in range(PASSES_WITH_STAGES):
            timeline = cuda_timeline() if self._on_gpu else host_timeline()
            _, total_s = time_call(staged_pass, timeline)
            passes.append(timeline.stage_seconds(total_s))

        names = dict.fromkeys(name for seconds in passes for name in seconds)
        return {
            "stages_s": {name: tuple(seconds.get(name, 0.0) for seconds in passes) for name in names},
            "stage_calls": dict(timeline.calls), "stage_totals_s": tuple(sum(seconds.values()) for seconds in passes),
        }

    def _measure_memory(self, staged_pass: StagedPass, counts: Counts, direction: Direction) -> Fields:
        """Peak memory of a pass; its operations, which take no memory, go to ``counts`` where they aren't known."""
        def run_counted(recorder: Recorder) -> None:
            if direction in counts:
                staged_pass(recorder)
            else:
                counts[direction] = self._count_pass(partial(staged_pass, recorder))

        held_bytes = self._held_bytes if self._on_gpu else weights_bytes(self._model)
        return peak_memory(run_counted, self._settings.device, held_bytes)

    def _allocated_bytes(self) -> int:
        """What a GPU's allocator has given out; 0 on a CPU."""
        return torch.cuda.memory_allocated() if self._on_gpu else 0

    def _count_pass(self, one_pass: Callable[[], object]) -> tuple[Count, set[str]]:
        """The operations of a pass, and the parameters that it reads."""
        found: list[Count] = []
        read = read_parameters(self._model, lambda: found.append(count_macs(one_pass, self._model)))
        return found[0], read

    def _complexity_fields(self, counts: Counts, picture: Picture, padding: tuple[int, ...]) -> dict[Direction, Fields]:
        """Row fields of what was counted in both directions."""
        left, top, right, bottom = padding
        skipped = skipped_macs(self._model, picture.height + top + bottom, picture.width + left + right)
        used = self._read_by_tables.union(*(read for _, read in counts.values()))
        unused = sum(value.numel() for name, value in self._model.named_parameters() if name not in used)
        numbers = {"parameters": count_parameters(self._model), "unused_parameters": unused,
                   "module_parameters": parameters_by_module(self._model),
                   "skipped_macs": skipped * self._settings.batch}
        return {direction: {"macs": count.macs, "uncounted": count.uncounted,
                            "module_macs": dict(count.module_macs), **numbers}
                for direction, (count, _) in counts.items()}


def write_traces(subjects: Iterable[Subject], settings: Settings, folder: Path) -> Iterator[Path]:
    """Look into single passes of each subject with torch.profiler; yield the files as they are written."""
    keep_freed_memory()  # as rows are measured
    for subject in subjects:
        candidate = Candidate(subject, settings)
        for picture in settings.pictures:
            yield from candidate.write_traces(picture, folder)

"""A look inside single passes with torch.profiler. Its times are the profiler's too, and never become rows."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from bench.common.files import file_name
from bench.results.latency_rows import DECODE
from bench.runners.allocator import keep_freed_memory
from bench.runners.profile.candidate import Candidate
from bench.runners.profile.plan import DIRECTIONS, Frame, Settings
from bench.runners.profile.stages import profiler_marks
from bench.runners.profile.subjects import Subject

OPERATORS_SHOWN = 60


def trace(subject: Subject, frame: Frame, settings: Settings, folder: Path) -> list[Path]:
    """Write a trace and a table of operators for each direction, after a first pass without the profiler.

    Traces are in Chrome's format, for Perfetto or chrome://tracing; stages are marked in them.

    Returns:
        The files written.
    """
    keep_freed_memory()  # as the rows were measured
    candidate = Candidate(subject, settings)
    candidate.prepare(frame)
    candidate.function(frame, DECODE)()
    on_gpu = settings.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for direction in DIRECTIONS:
        staged_pass = candidate.staged(frame, direction)
        with profile(activities=activities, record_shapes=True) as profiler, profiler_marks() as recorder:
            staged_pass(recorder)
            if on_gpu:
                torch.cuda.synchronize()
        stem = folder / file_name(f"{subject.name}-{subject.configuration}-{frame}-{direction}-{settings.device}")
        files += [stem.with_name(stem.name + ".trace.json"), stem.with_name(stem.name + ".operators.txt")]
        profiler.export_chrome_trace(str(files[-2]))
        order = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
        files[-1].write_text(profiler.key_averages().table(sort_by=order, row_limit=OPERATORS_SHOWN) + "\n")
    return files

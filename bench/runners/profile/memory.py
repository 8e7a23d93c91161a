"""Memory of a pass: what tensors take at their peak, per stage, and what the process takes.

Peaks of tensors are what a process that holds only this model would have allocated: the model's weights and buffers,
and what the pass adds to them, whatever else this process holds. On a GPU they come from torch's caching allocator.
On a CPU they are the running sum of every allocation and release that torch's CPU allocator reports to the profiler,
workspaces of operators included; memory that a library takes for itself past that allocator is not in it.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn
from torch.profiler import ProfilerActivity

from bench.results.stages import REST
from bench.runners.profile.stages import PROFILER_PREFIX, Recorder, profiler_marks

SAMPLE_EVERY_S = 0.005

StagedPass = Callable[[Recorder], object]  # runs one pass and tells the recorder of its stages


def weights_bytes(model: nn.Module) -> int:
    """Bytes of parameters and buffers; what two of them share counts once."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def peak_memory(staged_pass: StagedPass, device: str, held_bytes: int) -> dict[str, Any]:
    """Run one pass and return its peaks as row fields, in bytes with weights included; reserved only by a GPU.

    Args:
        staged_pass: the pass; it takes a recorder and may tell it of stages.
        device: "cpu" or "cuda".
        held_bytes: what the model holds before the pass: its weights, and on a GPU whatever it has kept so far.
    """
    return (_gpu_peak if device == "cuda" else _cpu_peak)(staged_pass, held_bytes)


def _gpu_peak(staged_pass: StagedPass, held_bytes: int) -> dict[str, Any]:
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    current, reserved = REST, 0
    peaks: dict[str, int] = {}  # highest allocation while each stage was the innermost one

    def change(stage: str) -> None:
        nonlocal current, reserved
        peaks[current] = max(peaks.get(current, 0), torch.cuda.max_memory_allocated())
        reserved = max(reserved, torch.cuda.max_memory_reserved())
        torch.cuda.reset_peak_memory_stats()
        current = stage

    staged_pass(Recorder(change))
    torch.cuda.synchronize()
    change(REST)
    others = before - held_bytes
    stages = {stage: peak - others for stage, peak in peaks.items()}
    return {"peak_alloc_bytes": max(stages.values()), "peak_reserved_bytes": reserved - others,
            "stage_peak_alloc_bytes": stages}


def _cpu_peak(staged_pass: StagedPass, held_bytes: int) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (torch.profiler.profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
              profiler_marks() as recorder):
            staged_pass(recorder)

    events = sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    stage, level = REST, 0
    peaks: dict[str, int] = {}
    for event in events:
        if event.name().startswith(PROFILER_PREFIX):
            stage = event.name().removeprefix(PROFILER_PREFIX)
        elif event.name() == "[memory]":
            level += event.nbytes()
        peaks[stage] = max(peaks.get(stage, held_bytes), held_bytes + level)

    return {"peak_alloc_bytes": max(peaks.values()), "peak_reserved_bytes": None, "stage_peak_alloc_bytes": peaks}


def rss_bytes() -> int:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss


class PeakRss:
    """Highest resident memory of this process while the context lasts.

    Attributes:
        method: "kernel", where its high-water mark could be reset, else "sampled every 5 ms".
        peak_bytes: known once the context is left.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self.method = "kernel"

    def __enter__(self) -> PeakRss:
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, see proc(5)
        except OSError:
            self.method = f"sampled every {SAMPLE_EVERY_S * 1000:g} ms"
            self._stop = threading.Event()
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.method == "kernel":
            told = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
            self.peak_bytes = 1024 * int(told[1]) if told else rss_bytes()
        else:
            self._stop.set()
            self._sampler.join()

    def _sample(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, rss_bytes())
            if self._stop.wait(SAMPLE_EVERY_S):
                return

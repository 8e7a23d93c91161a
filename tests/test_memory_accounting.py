"""Memory on allocations of known size, on a CPU and, with a stand-in for its allocator, on a GPU."""

from __future__ import annotations

import mmap

import pytest
import torch
from torch import nn

from bench.runners.profile import memory
from bench.runners.profile.memory import PeakRss, peak_memory, rss_bytes, weights_bytes

MEGA = 2**20


def allocate(megabytes: float) -> torch.Tensor:
    return torch.empty(int(megabytes * MEGA), dtype=torch.uint8)


def test_the_peak_is_what_is_alive_at_once():
    def staged_pass(recorder) -> None:
        first, second = allocate(8), allocate(16)  # 24 at once
        del first
        allocate(4)
        del second
        allocate(20)

    assert peak_memory(staged_pass, "cpu", 0)["peak_alloc_bytes"] == 24 * MEGA


def test_weights_held_before_are_added_once():
    held = allocate(32)
    peak = peak_memory(lambda recorder: allocate(8).fill_(held[0]), "cpu", held.numel())
    assert peak["peak_alloc_bytes"] == 40 * MEGA and peak["peak_reserved_bytes"] is None


def test_stages_have_peaks_of_their_own():
    def staged_pass(recorder) -> None:
        recorder.enter("analysis")
        kept = allocate(8)
        recorder.enter("entropy coding")
        allocate(2)
        recorder.leave()
        allocate(16)
        recorder.leave()
        recorder.enter("synthesis")
        kept = allocate(4)  # beside the one it takes the place of
        recorder.leave()
        del kept

    peak = peak_memory(staged_pass, "cpu", 0)
    assert {name: size / MEGA for name, size in peak["stage_peak_alloc_bytes"].items() if name != "rest"} == {
        "analysis": 24, "entropy coding": 10, "synthesis": 12}


def test_a_convolution_takes_at_least_its_output():
    layer, x = nn.Conv2d(3, 16, 3, padding=1), torch.zeros(1, 3, 128, 128)
    with torch.no_grad():
        peak = peak_memory(lambda recorder: layer(x), "cpu", weights_bytes(layer))
    output = 16 * 128 * 128 * 4
    assert output <= peak["peak_alloc_bytes"] - weights_bytes(layer) <= 4 * output


def test_shared_weights_count_once():
    first, second = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
    second.weight = first.weight
    model = nn.ModuleList([first, second, nn.BatchNorm1d(4)])
    statistics = 4 * (4 + 4) + 8  # running mean and variance, and the number of batches as int64
    assert weights_bytes(model) == 8 * 8 * 4 + 2 * 4 * 4 + statistics


class FakeAllocator:
    """Stands for torch.cuda's: what is allocated and reserved, and their peaks since the last reset."""

    def __init__(self, allocated: int) -> None:
        self.allocated = self.reserved = self.peak = self.reserved_peak = allocated

    def take(self, size: int) -> None:
        self.allocated += size
        self.reserved = max(self.reserved, self.allocated)
        self.peak, self.reserved_peak = max(self.peak, self.allocated), max(self.reserved_peak, self.reserved)

    def give(self, size: int) -> None:
        self.allocated -= size

    def install(self, monkeypatch) -> None:
        def reset() -> None:
            self.peak, self.reserved_peak = self.allocated, self.reserved

        for name, function in {
            "synchronize": lambda: None, "empty_cache": lambda: None, "reset_peak_memory_stats": reset,
            "memory_allocated": lambda: self.allocated, "max_memory_allocated": lambda: self.peak,
            "max_memory_reserved": lambda: self.reserved_peak,
        }.items():
            monkeypatch.setattr(torch.cuda, name, function)


def test_a_gpus_peaks_leave_other_models_out(monkeypatch):
    gpu = FakeAllocator(allocated=1000)  # 300 of them are this model's
    gpu.install(monkeypatch)

    def staged_pass(recorder) -> None:
        recorder.enter("analysis")
        gpu.take(50)
        recorder.enter("context s1")
        gpu.take(400)
        gpu.give(400)
        recorder.leave()
        gpu.take(20)
        gpu.give(70)
        recorder.leave()

    peak = peak_memory(staged_pass, "cuda", 300)
    assert peak["peak_alloc_bytes"] == 300 + 450 and peak["peak_reserved_bytes"] == 300 + 450
    assert peak["stage_peak_alloc_bytes"] == {"rest": 300, "analysis": 300 + 70, "context s1": 300 + 450}


@pytest.mark.parametrize("kernel", [True, False])
def test_the_process_peak_holds_a_known_array(kernel, monkeypatch):
    if not kernel:  # as where the high-water mark can't be reset
        monkeypatch.setattr(memory, "Path", lambda path: (_ for _ in ()).throw(PermissionError(path)))
    source = bytes(MEGA)
    before = rss_bytes()
    with PeakRss() as peak, mmap.mmap(-1, 64 * MEGA) as pages:  # which no allocator has kept from before
        for _ in range(64):
            pages.write(source)
        if not kernel:
            memory.threading.Event().wait(0.1)  # for a sample
    assert kernel or peak.method == "sampled every 5 ms"
    assert 60 * MEGA < peak.peak_bytes - before < 160 * MEGA


def test_the_process_peak_starts_anew():
    with mmap.mmap(-1, 64 * MEGA) as pages:
        for _ in range(64):
            pages.write(bytes(MEGA))
    with PeakRss() as peak:
        pass
    assert peak.peak_bytes < rss_bytes() + 32 * MEGA

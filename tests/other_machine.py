"""Another machine, for tests of what counts where: what the kernel says of its processor is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.results import machines
from bench.runners import machine

CACHED = (machines.find_machine, machines.find_processor, machines.find_instructions, machine.device_name)
AVX2 = "fpu sse4_2 avx avx2 fma f16c"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, processor: str, flags: str = AVX2,
            gpu: str | None = None) -> None:
    """Run on a machine with this processor and GPU from here on, in this process, until the test is over."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: {processor}\nflags\t\t: {flags}\n\n" * 2)
    if gpu is not None:
        (folder / "gpus" / "0000:01:00.0").mkdir(parents=True)
        (folder / "gpus" / "0000:01:00.0" / "information").write_text(f"Model: \t\t {gpu}\nIRQ:   \t\t 57\n")
    monkeypatch.setattr(machines, "_CPU_INFO", folder / "cpuinfo")
    monkeypatch.setattr(machines, "_GPU_INFO", folder / "gpus")
    forget_machine()


def forget_machine() -> None:
    """Ask again which machine this is."""
    for function in CACHED:
        function.cache_clear()

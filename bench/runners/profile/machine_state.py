"""What may disturb a measurement: clocks, throttling, governor, load. Whatever a machine doesn't tell is left out."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

CPUS = Path("/sys/devices/system/cpu")
BUSY_CORES = 0.2  # of other processes, from which on a measurement is doubtful
_QUERY = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "utilization.gpu",
          "clocks_event_reasons.active", "driver_version")
_BENIGN_REASONS = 0x1 | 0x2  # idle, and clocks as an application set them


def read_state(device: str) -> dict[str, Any]:
    """Return the state of CPU and, for "cuda", GPU at this moment, as JSON data with units in the names."""
    state: dict[str, Any] = {
        "load_1min": _attempt(lambda: round(psutil.getloadavg()[0], 2)),
        "governor": _attempt(lambda: (CPUS / "cpu0/cpufreq/scaling_governor").read_text().strip()),
        "cpu_mhz": _attempt(lambda: round(psutil.cpu_freq().current)),
        "cpu_throttle_count": _attempt(_throttle_count),
        "gpu": _attempt(_gpu_state) if device == "cuda" else None,
    }
    return {key: value for key, value in state.items() if value is not None}


def find_disturbances(before: Mapping[str, Any], after: Mapping[str, Any], busy_cores: float | None) -> list[str]:
    """Return what makes a measurement between two states doubtful.

    Args:
        busy_cores: cores that other processes kept busy meanwhile, see :class:`OthersLoad`.
    """
    states = (before, after)
    governor = before.get("governor", "performance")
    reasons = sorted({state["gpu"].get("throttle_reasons", 0) for state in states if "gpu" in state})
    doubts = {
        f"other processes kept {busy_cores or 0:.1f} cores busy": (busy_cores or 0) > BUSY_CORES,
        "the CPU was throttled for heat": after.get("cpu_throttle_count", 0) > before.get("cpu_throttle_count", 0),
        f"the CPU's clock follows the governor '{governor}'": governor != "performance",
        f"the GPU's clock was held back ({', '.join(map(hex, reasons))})":
            any(reason & ~_BENIGN_REASONS for reason in reasons),
        "other processes used the GPU": any(state.get("gpu", {}).get("other_processes") for state in states),
    }
    return [text for text, holds in doubts.items() if holds]


class OthersLoad:
    """Measures how many cores other processes keep busy while the context lasts.

    Attributes:
        cores: known once the context is left; None where the kernel doesn't tell.
    """

    def __init__(self) -> None:
        self.cores: float | None = None

    def __enter__(self) -> OthersLoad:
        self._start = _attempt(_busy_times)
        return self

    def __exit__(self, *exception: object) -> None:
        end = _attempt(_busy_times)
        if self._start is None or end is None:
            return
        elapsed_s, busy_s, own_s = (after - before for before, after in zip(self._start, end))
        self.cores = round(max(0.0, busy_s - own_s) / elapsed_s, 2) if elapsed_s > 0 else None


def _busy_times() -> tuple[float, float, float]:
    """(now, busy core seconds of the machine, those of this process and its children)."""
    times = psutil.cpu_times()
    busy_s = times.user + times.nice + times.system + times.irq + times.softirq
    return time.monotonic(), busy_s, sum(os.times()[:4])


def _throttle_count() -> int | None:
    files = list(CPUS.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    return sum(int(path.read_text()) for path in files) if files else None


def _gpu_state() -> dict[str, Any]:
    """Of the GPU that torch uses, which need not be the machine's first."""
    uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
    sm, memory, celsius, watts, utilisation, reasons, driver = _query_gpu(uuid, "gpu", _QUERY)[0]
    processes = _attempt(lambda: _query_gpu(uuid, "compute-apps", ("pid",)))  # this one among them
    return {"sm_mhz": int(sm), "memory_mhz": int(memory), "celsius": int(celsius), "watts": float(watts),
            "utilisation_percent": int(utilisation), "throttle_reasons": int(reasons, 16), "driver": driver,
            "other_processes": max(0, len(processes or ()) - 1)}


def _query_gpu(uuid: str, what: str, fields: tuple[str, ...]) -> list[list[str]]:
    """Ask the driver's own program; returns the cells of each line."""
    command = ["nvidia-smi", f"--query-{what}={','.join(fields)}", "--format=csv,noheader,nounits", f"--id={uuid}"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    return [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]


def _attempt(read: Callable[[], Any]) -> Any:
    """What ``read`` returns, or None where this machine doesn't tell: a reading never fails a measurement."""
    try:
        return read()
    except Exception:
        return None

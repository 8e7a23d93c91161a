"""What may disturb a measurement: clocks, throttling, governor, load. Whatever a machine doesn't tell is left out."""

from __future__ import annotations

import importlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CPUS = Path("/sys/devices/system/cpu")
PROC = Path("/proc")
BUSY_CORES = 0.2  # of other processes, from which on a measurement is doubtful
_QUERY = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "utilization.gpu",
          "clocks_event_reasons.active", "driver_version")
_BENIGN_REASONS = 0x1 | 0x2  # idle, and clocks as an application set them


def read_state(device: str) -> dict[str, Any]:
    """Return the state of CPU and, for "cuda", GPU at this moment, as JSON data with units in the names."""
    state: dict[str, Any] = {
        "load_1min": _attempt(lambda: round(os.getloadavg()[0], 2)),
        "governor": _attempt(lambda: _text(CPUS / "cpu0/cpufreq/scaling_governor")),
        "cpu_mhz": _attempt(_cpu_mhz),
        "cpu_throttle_count": _attempt(_throttle_count),
        "gpu": _gpu_state() if device == "cuda" else None,
    }
    return {key: value for key, value in state.items() if value is not None}


def state_warnings(before: Mapping[str, Any], after: Mapping[str, Any], busy_cores: float | None) -> list[str]:
    """Return what makes a measurement between two states doubtful.

    Args:
        busy_cores: cores that other processes kept busy meanwhile, see :class:`OthersLoad`.
    """
    found = []
    if busy_cores is not None and busy_cores > BUSY_CORES:
        found.append(f"other processes kept {busy_cores:.1f} cores busy")
    if after.get("cpu_throttle_count", 0) > before.get("cpu_throttle_count", 0):
        found.append("the CPU was throttled for heat")
    governor = before.get("governor")
    if governor not in (None, "performance"):
        found.append(f"the CPU's clock follows the governor '{governor}'")
    reasons = {state["gpu"].get("throttle_reasons", 0) for state in (before, after) if "gpu" in state}
    if any(reason & ~_BENIGN_REASONS for reason in reasons):
        found.append("the GPU's clock was held back (" + ", ".join(hex(reason) for reason in sorted(reasons)) + ")")
    if any(state.get("gpu", {}).get("other_processes") for state in (before, after)):
        found.append("other processes used the GPU")
    return found


class OthersLoad:
    """Measures how many cores other processes keep busy while the context lasts.

    Attributes:
        cores: known once the context is left; None where the kernel doesn't tell.
    """

    def __init__(self) -> None:
        self.cores: float | None = None

    def __enter__(self) -> OthersLoad:
        self._start = self._read()
        return self

    def __exit__(self, *exception: object) -> None:
        end = self._read()
        if self._start is None or end is None:
            return
        elapsed, busy, own = (b - a for a, b in zip(self._start, end))
        self.cores = round(max(0.0, busy - own) / elapsed, 2) if elapsed > 0 else None

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        """(now, busy core seconds of the machine, those of this process and its children)."""
        busy = _attempt(_busy_s)
        return None if busy is None else (time.monotonic(), busy, sum(os.times()[:4]))


def _busy_s() -> float:
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, _text(PROC / "stat").splitlines()[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _cpu_mhz() -> int | None:
    """Mean clock of all cores, as the governor or else /proc/cpuinfo tells it."""
    told = [int(_text(path)) / 1000 for path in CPUS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
    if not told:
        lines = _text(PROC / "cpuinfo").splitlines()
        told = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return round(sum(told) / len(told)) if told else None


def _throttle_count() -> int | None:
    files = list(CPUS.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
    return sum(int(_text(path)) for path in files) if files else None


def _gpu_state() -> dict[str, Any] | None:
    return _attempt(_nvml_state) or _attempt(_nvidia_smi_state)


def _gpu_uuid() -> str:
    """Of the GPU that torch uses, which need not be the machine's first."""
    import torch

    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def _nvml_state() -> dict[str, Any]:
    """Through NVML's Python binding, where it is installed."""
    nvml = importlib.import_module("pynvml")
    nvml.nvmlInit()
    try:
        gpu = nvml.nvmlDeviceGetHandleByUUID(_gpu_uuid())
        return {
            "sm_mhz": nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
            "memory_mhz": nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
            "celsius": nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
            "watts": nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
            "utilisation_percent": nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
            "throttle_reasons": nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
            "driver": str(nvml.nvmlSystemGetDriverVersion()),
            "other_processes": sum(one.pid != os.getpid() for one in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
        }
    finally:
        nvml.nvmlShutdown()


def _nvidia_smi_state() -> dict[str, Any]:
    """Through the driver's own program."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits", f"--id={_gpu_uuid()}"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    sm, memory, celsius, watts, utilisation, reasons, driver = (part.strip() for part in output.split(","))
    return {"sm_mhz": int(sm), "memory_mhz": int(memory), "celsius": int(celsius), "watts": float(watts),
            "utilisation_percent": int(utilisation), "throttle_reasons": int(reasons, 16), "driver": driver}


def _text(path: Path) -> str:
    return path.read_text().strip()


def _attempt(read: Callable[[], Any]) -> Any:
    """What ``read`` returns, or None where this machine doesn't tell: a reading never fails a measurement."""
    try:
        return read()
    except Exception:
        return None

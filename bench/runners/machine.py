"""The machine a row was measured on: device, threads, library versions; how torch and memory are set up for it."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

import bench
from bench.common.errors import ConfigurationError
from bench.results.machines import CPU, find_instructions, find_processor
from bench.results.rows import Provenance
from bench.runners.machine_share import find_cpu_quota, usable_cores
from bench.runners.nodes.placement import identify_node, read_placement

T = TypeVar("T")

_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # without any of these, importing torch is no use
_FLAGS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "OPENBLAS_CORETYPE")  # choose instructions
# Parameters of mallopt (malloc.h) and their values.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER, _USUAL_MAPS, _LARGEST_THRESHOLD = -1, 65536, 32 << 20
_LIBRARIES = ("numpy", "torch", "compressai", "pytorch-msssim", "pillow")


def resolve_device(wanted: str) -> str:
    """Return "cpu", "cuda" or "cuda:N" for one of these or "auto", which falls back to "cpu".

    Raises:
        ConfigurationError: there is no such device, or a GPU is wanted that torch can't use here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wanted):
        raise ConfigurationError(f"there is no device called '{wanted}'", "known: auto, cpu, cuda, cuda:N")
    if wanted == "cpu" or (wanted == "auto" and not any(Path(path).exists() for path in _GPU_FILES)):
        return "cpu"
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return "cuda" if gpus else "cpu"
    if int(wanted.partition(":")[2] or 0) >= gpus:
        missing = "no usable GPU" if not gpus else f"{gpus} usable GPUs, counted from 0, and no {wanted}"
        raise ConfigurationError(f"torch finds {missing} here", "use --device cpu or --device auto")
    return wanted


@lru_cache
def device_name(device: str) -> str:
    """Return what the device is called, such as "cpu: <model of the processor>" or "cuda: <model>"."""
    if device == "cpu":
        return CPU + find_processor()
    import torch

    return f"{device}: {torch.cuda.get_device_name(device)}"


def configure_torch(threads: int | None, deterministic: bool) -> None:
    """Set torch's threads, its choice of algorithms and precision, in the encoder's process and in the decoder's.

    TensorFloat-32 is off: convolutions of a GPU would else round their inputs to 10 bits, and not all GPUs alike.
    Operations without a deterministic form warn instead of failing: a decoder that differs for it is
    found by comparing the reconstructions.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    # As use_deterministic_algorithms(deterministic, warn_only=True), which also imports torch's compiler, in seconds.
    torch.set_deterministic_debug_mode("warn" if deterministic else "default")
    # A debugging aid, one more launch for each tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def describe_machine(device: str, *, jobs: int, torch: dict[str, Any] | None,
                     operators: str | None = None) -> Provenance:
    """Return what a row says of its machine: no host names, no paths.

    Args:
        torch: arguments of :func:`configure_torch` where the codec runs through torch.
        operators: what computes the codec's own operators.
    """
    placement = read_placement()
    provenance = Provenance(
        device=device_name(device),
        instructions=find_instructions() if device == "cpu" else None,
        cpus=usable_cores(),
        jobs=jobs,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries=library_versions(),
        operators=operators,
        flags={name: os.environ[name] for name in _FLAGS if name in os.environ},
        engine=placement.engine,
        node=identify_node(),
        slot=placement.slot,
        attempt=placement.attempt,
        nice=os.nice(0) or None,
        cpu_quota=find_cpu_quota(),
    )
    if torch is None:
        return provenance

    library = importlib.import_module("torch")
    provenance = replace(provenance, threads=library.get_num_threads(), deterministic=torch["deterministic"])
    if device == "cpu":
        return provenance

    cudnn = library.backends.cudnn
    return replace(provenance, cuda=library.version.cuda, cudnn=cudnn.version(), cudnn_benchmark=cudnn.benchmark,
                   tf32=cudnn.allow_tf32 or library.backends.cuda.matmul.allow_tf32)


@lru_cache
def library_versions() -> dict[str, str]:
    """Return the installed versions, from the packages' metadata, so that nothing is imported for it."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@lru_cache
def code_version() -> str:
    """Return this package's version, with the last commit that changed it where it runs from a git checkout.

    "-dirty" says that the package differs from that commit; rows and documents beside it do not count.
    """
    package = Path(bench.__file__).resolve().parent
    if not (package.parent / ".git").exists():
        return bench.__version__
    try:
        commit = _git(package, "log", "-1", "--format=%h", "--abbrev=10", "--", ".")
        changed = _git(package, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return bench.__version__
    return f"{bench.__version__}+{commit}{'-dirty' if changed else ''}"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20,
                          check=True)
    return done.stdout.strip()


def time_call(function: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """Call ``function``; return its result and the seconds it took by the host's clock.

    Where a GPU is in use it is synchronised at both ends, so that queued work is counted where it belongs.
    """
    _synchronise()
    start = time.perf_counter()
    result = function(*arguments)
    _synchronise()
    return result, time.perf_counter() - start


def _synchronise() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def free_gpu_memory() -> None:
    """Give cached GPU memory back, so that running out of it on one image does not fail the next."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def is_gpu_usable() -> bool:
    """Whether the GPU still answers this process, if it uses one: after some errors it answers nothing more."""
    try:
        _synchronise()
        free_gpu_memory()
    except RuntimeError:
        return False
    return True


def keep_freed_memory() -> bool:
    """Keep what is freed for the next allocation until the process ends; returns whether the C library can.

    glibc maps each block of more than 32 MiB anew and gives it back when it is freed, so that the system zeroes every
    page of every large tensor: a quarter of a codec's time on a CPU. No result depends on it. The process stays as
    large as it was at its peak.
    """
    mallopt = _mallopt()
    if mallopt is None:
        return False
    # The threshold that glibc itself reaches after a while; naming one stops its own adjustments.
    return bool(mallopt(_TRIM_THRESHOLD, _NEVER) and mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
                and mallopt(_MMAP_MAX, 0))


def release_freed_memory() -> None:
    """Give back to the system what is freed and kept, where the C library can: the next pass gets it anew."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Give freed memory back as glibc does by itself after a while; :func:`keep_freed_memory` applies again afterwards.

    That is: map blocks of more than 32 MiB anew, and give back what is free at the heap's end from 64 MiB on.
    """
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(_MMAP_MAX, _USUAL_MAPS)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
    try:
        yield
    finally:
        keep_freed_memory()


def _mallopt() -> Callable[[int, int], int] | None:
    return getattr(ctypes.CDLL(None), "mallopt", None)

"""Which implementation of Bi-WKV runs on which device, and the calls into the compiled ones."""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.operators.extension import BuildError, Extension

HERE = Path(__file__).parent
SOURCES = {"cpu": ("C++", HERE / "biwkv.cpp"), "cuda": ("CUDA", HERE / "biwkv.cu")}


@dataclass(frozen=True)
class Implementation:
    """How the operator runs on a kind of device.

    Args:
        device: "cpu", "cuda", ...
        native: compiled, not plain torch.
        label: for people, such as "native (C++)" or "plain torch (no C++ compiler (c++))".
        identity: for records, such as "biwkv C++ 0123abcd": two results can differ in their last bits, and a stream
            may fail to decode, where the identities do.
    """

    device: str
    native: bool
    label: str
    identity: str


def native_allowed() -> bool:
    """Whether the environment leaves the choice: BENCH_NATIVE=0 asks for plain torch."""
    return os.environ.get("BENCH_NATIVE") != "0"


def extension(device: str) -> Extension:
    """The source of the kernel for "cpu" or "cuda"."""
    return Extension("bench_biwkv", device, SOURCES[device][1], (HERE / "biwkv.h", HERE / "biwkv_gradient.h"))


class Kernels:
    """The compiled kernels of this process, each built at its first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._libraries: dict[str, ctypes.CDLL] = {}
        self._failures: dict[str, str] = {}

    def get(self, device: str) -> ctypes.CDLL | None:
        """The library for a device; None where plain torch must do. The first None of a device is a warning."""
        if not native_allowed() or device not in SOURCES:
            return None
        with self._lock:
            if device not in self._libraries and device not in self._failures:
                try:
                    self._libraries[device] = extension(device).load()
                except BuildError as error:
                    self._failures[device] = str(error)
                    warnings.warn(f"Bi-WKV runs in plain torch on {device}, many times slower: {error} "
                                  "(python -m bench benchmark biwkv measures it)", stacklevel=2)
            return self._libraries.get(device)

    def status(self, device: str) -> Implementation:
        """What runs on a device, or would: builds nothing."""
        if device not in SOURCES:
            return _plain(device, f"no kernel for {device}")
        if not native_allowed():
            return _plain(device, "BENCH_NATIVE=0")
        if missing := self._failures.get(device) or extension(device).missing():
            return _plain(device, missing)
        language = SOURCES[device][0]
        return Implementation(device, True, f"native ({language})", f"biwkv {language} {extension(device).digest}")


def _plain(device: str, reason: str) -> Implementation:
    return Implementation(device, False, f"plain torch ({reason})", "biwkv plain torch")


KERNELS = Kernels()


def status(device: str = "cpu") -> Implementation:
    """What computes Bi-WKV on a kind of device. Nothing is built for it: a build that is still to come may yet fail.

    Args:
        device: "cpu" or "cuda".
    """
    return KERNELS.status(device)


def identity(device: str = "cpu") -> str:
    """A short name of what computes Bi-WKV on a kind of device, for stored rows. Builds the kernel if need be."""
    KERNELS.get(device)
    return KERNELS.status(device).identity


def forward(library: ctypes.CDLL, w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int) -> Tensor:
    """Run the compiled forward; all tensors contiguous, on one device and of one dtype."""
    y = torch.empty_like(k)
    memory = [_run_memory(library, k, runs, backward=False)] if k.is_cuda else []
    _call(library, "forward", k, runs, [w, u, k, v, y, *memory])
    return y


def backward(library: ctypes.CDLL, grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor,
             runs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run the compiled backward: the gradients of w, u (C,) and k, v (B, T, C)."""
    batch, tokens, channels = k.shape
    gk, gv = torch.empty_like(k), torch.empty_like(v)
    gw, gu = (k.new_empty(batch * _run_count(tokens, runs), channels) for _ in range(2))
    memory = [k.new_empty(2, *k.shape), _run_memory(library, k, runs, backward=True)] if k.is_cuda else []
    _call(library, "backward", k, runs, [w, u, k, v, grad, gw, gu, gk, gv, *memory])
    return _sum_rows(gw), _sum_rows(gu), gk, gv


def _run_count(tokens: int, runs: int) -> int:
    return -(-tokens // -(-tokens // runs))


def _run_memory(library: ctypes.CDLL, k: Tensor, runs: int, backward: bool) -> Tensor:
    """Memory for what a CUDA kernel keeps of each run."""
    size = getattr(library, f"biwkv_run_bytes_{_suffix(k)}")
    size.restype = ctypes.c_int64
    batch, tokens, channels = k.shape
    count = batch * _run_count(tokens, runs) * channels
    return torch.empty(count * size(int(backward)), dtype=torch.uint8, device=k.device)


def _suffix(k: Tensor) -> str:
    return str(k.dtype).removeprefix("torch.")


def _call(library: ctypes.CDLL, name: str, k: Tensor, runs: int, tensors: Sequence[Tensor]) -> None:
    function = getattr(library, f"biwkv_{name}_{_suffix(k)}")
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
    sizes = [ctypes.c_int64(size) for size in (*k.shape, runs)]
    if not k.is_cuda:
        function(*pointers, *sizes)
        return
    with torch.cuda.device(k.device):
        stream = torch.cuda.current_stream().cuda_stream
        if code := function(*pointers, *sizes, ctypes.c_void_p(stream)):
            raise RuntimeError(f"Bi-WKV's CUDA kernel failed with error {code}")


def _sum_rows(parts: Tensor) -> Tensor:
    """Add up rows (N, C) in one order, whatever the number of threads; on a GPU the order is fixed anyway."""
    if parts.is_cuda:
        return parts.sum(0)
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total

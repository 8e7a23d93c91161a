"""The compiled versions of Bi-WKV, and the calls into them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.operators.native import NativeOperator, c_arguments

HERE = Path(__file__).parent
SOURCES = {"cpu": HERE / "biwkv.cpp", "cuda": HERE / "biwkv.cu"}
KERNELS = NativeOperator("biwkv", "Bi-WKV", "plain torch", SOURCES, (HERE / "biwkv.h", HERE / "biwkv_gradient.h"),
                         hint="python -m bench benchmark biwkv measures it")


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
    """Runs that hold tokens; fewer than ``runs`` where there are few tokens."""
    return -(-tokens // -(-tokens // runs))


def _run_memory(library: ctypes.CDLL, k: Tensor, runs: int, backward: bool) -> Tensor:
    """Memory for what a CUDA kernel keeps of each run."""
    size = getattr(library, f"biwkv_run_bytes_{_suffix(k)}")
    size.restype = ctypes.c_int64
    batch, tokens, channels = k.shape
    count = batch * _run_count(tokens, runs) * channels
    return torch.empty(count * size(int(backward)), dtype=torch.uint8, device=k.device)


def _suffix(k: Tensor) -> str:
    """How names of C functions say the dtype."""
    return str(k.dtype).removeprefix("torch.")


def _call(library: ctypes.CDLL, name: str, k: Tensor, runs: int, tensors: Sequence[Tensor]) -> None:
    """Call a kernel for its device, on the current stream of a GPU."""
    function = getattr(library, f"biwkv_{name}_{_suffix(k)}")
    arguments = c_arguments(*tensors, *k.shape, runs)
    if not k.is_cuda:
        function(*arguments)
        return

    with torch.cuda.device(k.device):
        stream = torch.cuda.current_stream().cuda_stream
        if code := function(*arguments, ctypes.c_void_p(stream)):
            raise RuntimeError(f"Bi-WKV's CUDA kernel failed with error {code}")


def _sum_rows(parts: Tensor) -> Tensor:
    """Add up rows (N, C) in one order, whatever the number of threads; on a GPU the order is fixed anyway."""
    if parts.is_cuda:
        return parts.sum(0)
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total

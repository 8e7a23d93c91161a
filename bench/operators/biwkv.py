"""Bi-WKV, the bidirectional linear attention of RWKV codecs, as the public GPU kernel computes it.

Source of the definition: the CUDA kernel of sjtu-medialab/RwkvCompress, on which checkpoints were trained. It isn't
the formula of the papers: tokens are cut into ``runs`` runs of ceil(T / runs) tokens, and inside its run a token
sees the tokens before it one step nearer than they are. For output i of a run that starts at s,

    y_i = N_i / (D_i + 1e-6 e^M_i),    N_i = e^(u + k_i) v_i + sum_j W_ij e^k_j v_j,    D_i the same with v = 1,

    W_ij = e^(-w (i-j))                                           for j < s
           e^(-w (i-1-j)), and for j > s also (1 - e^w) e^(w (i-j))    for s <= j < i
           1 - e^w, but 0 for i = s                               for j = i
           e^(-w (j-i))                                           for j > i

and M_i is the largest exponent that the kernel normalises by. The cost is O(T).

Encoder and decoder must use the same implementation on the same kind of device: the C++ kernel, the CUDA kernel and
plain torch agree to rounding only, and one unit in the last place can move a scale into another entry of the coding
tables. `bench.operators.identity` names the implementation in use.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.operators import kernels, plain
from bench.operators.kernels import KERNELS

DTYPES = (torch.float32, torch.float64)


def biwkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int = 32) -> Tensor:
    """Mix tokens over the whole sequence.

    The gradient is the exact one of this forward, which the public kernel's backward is not.
    The operator is ``torch.ops.bench.biwkv``. On a CPU and on CUDA devices it is a compiled kernel, built at the
    first call; elsewhere, without a compiler or with BENCH_NATIVE=0 in the environment it is plain torch. The
    result doesn't depend on the number of threads or on the rest of the batch. Under autocast it computes in float32.

    Args:
        w: decay of each channel for a step of one token, of either sign, (C,).
        u: bonus of each token for itself, (C,).
        k: keys, (B, T, C) with T tokens in raster order.
        v: values, (B, T, C).
        runs: 32 in the public kernel, 64 in its earlier version.

    Returns:
        (B, T, C), contiguous, of the inputs' dtype.

    Raises:
        TypeError: the dtypes are not all float32 or all float64.
        ValueError: shapes don't fit, a dimension is empty, devices differ or runs is below 1.
    """
    return torch.ops.bench.biwkv(w, u, k, v, runs)


def _check_inputs(w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int) -> None:
    """Raise where the operator's inputs don't fit together."""
    dtypes = {x.dtype for x in (w, u, k, v)}
    if len(dtypes) > 1 or k.dtype not in DTYPES:
        found = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in dtypes))
        raise TypeError(f"Bi-WKV takes inputs all of float32 or all of float64, not {found}; use autocast for less")

    if k.dim() != 3 or k.shape != v.shape or 0 in k.shape:
        raise ValueError(f"k and v must be (B, T, C) alike and not empty, not {tuple(k.shape)} and {tuple(v.shape)}")
    if w.shape != k.shape[2:] or u.shape != k.shape[2:]:
        raise ValueError(f"w and u must be ({k.shape[2]},), not {tuple(w.shape)} and {tuple(u.shape)}")

    if len({x.device for x in (w, u, k, v)}) > 1:
        raise ValueError("w, u, k and v must be on one device")
    if runs < 1:
        raise ValueError(f"runs must be at least 1, not {runs}")


@torch.library.custom_op("bench::biwkv", mutates_args=())
def _forward(w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int) -> Tensor:
    """The operator, compiled where it can be."""
    _check_inputs(w, u, k, v, runs)
    w, u, k, v = (x.contiguous() for x in (w, u, k, v))
    library = KERNELS.get(k.device.type)
    return kernels.forward(library, w, u, k, v, runs) if library else plain.forward(w, u, k, v, runs)


@torch.library.custom_op("bench::biwkv_backward", mutates_args=())
def _backward(grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor,
              runs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of w, u, k and v, compiled where they can be."""
    _check_inputs(w, u, k, v, runs)
    grad, w, u, k, v = (x.contiguous() for x in (grad, w, u, k, v))
    library = KERNELS.get(k.device.type)
    return kernels.backward(library, grad, w, u, k, v, runs) if library else plain.backward(grad, w, u, k, v, runs)


@_forward.register_fake
def _forward_shape(w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int) -> Tensor:
    """The output's shape, for tracing."""
    _check_inputs(w, u, k, v, runs)
    return torch.empty_like(k, memory_format=torch.contiguous_format)


@_backward.register_fake
def _backward_shapes(grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int) -> tuple[Tensor, ...]:
    """The gradients' shapes, for tracing."""
    return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in (w, u, k, v))


def _keep_inputs(ctx: Any, inputs: tuple, output: Tensor) -> None:
    """Keep what the backward pass needs."""
    *tensors, ctx.runs = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs; none of ``runs``."""
    return *torch.ops.bench.biwkv_backward(grad, *ctx.saved_tensors, ctx.runs), None


_forward.register_autograd(_differentiate, setup_context=_keep_inputs)
for _device in ("cpu", "cuda"):
    _forward.register_autocast(_device, torch.float32)

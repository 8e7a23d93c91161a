"""Multiply-accumulate operations and parameters of a model, counted while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import bench.operators.flops  # noqa: F401  (registers formulas of operators)
from bench.models.layers import WindowCrossAttention
from bench.runners.profile.formulas import FORMULAS

# Operators that copy, choose or create values, or do one operation a value without torch's tag for that.
_PLAIN = {
    "_local_scalar_dense", "_pin_memory", "_to_copy", "_unsafe_index", "_unsafe_view", "arange", "bernoulli", "cat",
    "clone", "constant_pad_nd", "copy", "embedding", "empty", "empty_like", "empty_strided", "fill", "flip", "full",
    "full_like", "gather", "im2col", "index", "index_copy", "index_put", "index_select", "isfinite", "leaky_relu",
    "lift_fresh", "masked_fill", "new_empty", "new_full", "new_ones", "new_zeros", "normal", "ones", "ones_like",
    "pixel_shuffle", "pixel_unshuffle", "rand", "rand_like", "randint", "randn", "randn_like", "repeat", "resize",
    "roll", "scalar_tensor", "scatter", "set", "stack", "uniform", "unsafe_split", "unsafe_split_with_sizes", "zero",
    "zeros", "zeros_like",
}


@dataclass(frozen=True)
class Count:
    """Operations of one pass.

    Attributes:
        macs: multiply-accumulates: those of convolutions, of matrix products, of attention's two products, and half
            of what operators with a formula of their own say.
        uncounted: operators without a count that do more than one operation a value (normalisations, pooling,
            softmax, interpolation, transforms, unregistered operators).
        module_macs: of each direct child of the model, as far as they ran in its ``forward``; the rest of ``macs``
            was done outside.
    """

    macs: int
    uncounted: tuple[str, ...]
    module_macs: Mapping[str, int] = field(default_factory=dict)


def count_macs(function: Callable[[], object], model: nn.Module | None = None) -> Count:
    """Run ``function`` and count what it computes, on any device.

    One multiplication is one MAC; additions, activations and normalisation are not counted.

    Args:
        model: count its direct children apart, lists of modules as one.
    """
    counter = FlopCounterMode(display=False, custom_mapping=FORMULAS)
    seen = _Uncounted()
    flops: Counter[str] = Counter()  # by how much the total grows in each child
    with ExitStack() as stack:
        for name, child in () if model is None else model.named_children():
            for module in child if isinstance(child, nn.ModuleList) else [child]:
                starts: list[int] = []
                stack.enter_context(module.register_forward_pre_hook(
                    lambda *_, starts=starts: starts.append(counter.get_total_flops())))
                stack.enter_context(module.register_forward_hook(lambda *_, starts=starts, name=name: flops.update(
                    {name: counter.get_total_flops() - starts.pop()})))
        with torch.no_grad(), counter, seen:  # the inner mode sees an operator first, and hands it on
            function()
    apart = {name: count // 2 for name, count in flops.items()}
    return Count(counter.get_total_flops() // 2, tuple(sorted(seen.names)), apart)


def skipped_macs(model: Any, height: int, width: int) -> int:
    """Multiply-accumulates that the published code of ``model`` spends on an image and ours doesn't.

    The published context model ends with an attention of scale 3 whose result nothing reads. It is counted by
    running that layer on latents of the size that ``height`` x ``width`` pixels have; 0 for models without it.
    """
    attention = getattr(model, "attn_s3", None)
    if not isinstance(attention, WindowCrossAttention):
        return 0
    stride = model.latent_stride
    like = next(attention.parameters())
    context = like.new_zeros(1, attention.conv_q.in_channels, height // stride, width // stride)
    return count_macs(lambda: attention(context, context)).macs


def count_parameters(model: nn.Module) -> int:
    """Numbers in the parameters of ``model``; shared ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def parameters_by_module(model: nn.Module) -> dict[str, int]:
    """Numbers in the parameters of each direct child of ``model``; its own tensors are in none."""
    return {name: count_parameters(child) for name, child in model.named_children()}


def read_parameters(model: nn.Module, function: Callable[[], object]) -> set[str]:
    """Names of the parameters that some operator reads while ``function`` runs.

    A view of a parameter counts as read once something computes with it. A parameter that nothing reads while the
    coder's tables are built, an image is encoded and decoded has no part in inference.
    """
    model.train(model.training)  # layers forget what they derived from parameters and kept
    reads = _Reads()
    with torch.no_grad(), reads:
        function()
    return {name for name, parameter in model.named_parameters() if _storage(parameter) in reads.storages}


class _Uncounted(TorchDispatchMode):
    """Collects operators that compute, and that the counter has no formula for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # What is made of other operators is left to these, which are counted by themselves.
        composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
        if not composite and _computes(func, tree_iter(result)):
            self.names.add(f"{func.namespace}.{func._opname}")
        return result


def _computes(func: torch._ops.OpOverload, results: Iterable[Any]) -> bool:
    packet = func.overloadpacket
    if packet in flop_registry or packet in FORMULAS:
        return False
    if func.is_view or torch.Tag.pointwise in func.tags or func._opname.rstrip("_") in _PLAIN:
        return False
    return any(isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()) for value in results)


@dataclass(eq=False)
class _Reads(TorchDispatchMode):
    """Collects the storages that operators read."""

    storages: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if not func.is_view:
            self.storages |= {_storage(value) for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)}
        return func(*args, **kwargs)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata

"""Floating-point operations of what torch's counter has no formula for: operators that CPUs run, and fused ones.

Two operations are one multiply-accumulate, as in torch's own formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import conv_flop_count, sdpa_flop_count

from bench.models.pointwise import CONVOLVE

aten = torch.ops.aten
Shape = tuple[int, ...]
FEED_FORWARD = (12, 14)  # places of a fused encoder layer's two weights, behind tokens and width


def _count_attention(query: Shape, key: Shape, value: Shape, *args: Any, **kwargs: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _count_convolution(x: Shape, weight: Shape, *args: Any, out_shape: Shape, **kwargs: Any) -> int:
    return conv_flop_count(list(x), list(weight), list(out_shape))


def _count_added_product(added: Shape, first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    """A matrix with a matrix, or with a vector."""
    return 2 * prod(first) * prod(second[1:])


def _count_product(first: Shape, second: Shape, *args: Any, **kwargs: Any) -> int:
    return _count_added_product((), first, second)


def _count_trilinear(first: Shape, weight: Shape, second: Shape, expand_first: Sequence[int],
                     expand_weight: Sequence[int], expand_second: Sequence[int], *args: Any, **kwargs: Any) -> int:
    """Of each weight once with each pair of inputs, as ``nn.Bilinear`` has it."""
    sides = (first, expand_first), (weight, expand_weight), (second, expand_second)
    return 2 * prod(map(max, *(_insert_ones(shape, places) for shape, places in sides)))


def _insert_ones(shape: Shape, places: Sequence[int]) -> list[int]:
    spread = list(shape)
    for place in sorted(places):
        spread.insert(place, 1)
    return spread


def _count_recurrent(x: Shape, *weights: Any, **kwargs: Any) -> int:
    """Every weight of a matrix once with each token; biases and gates are none."""
    known = weights[0] if isinstance(weights[0], list) else weights[:2]
    return 2 * prod(x[:-1]) * sum(prod(weight) for weight in known if len(weight) == 2)


def _list_lengths(tokens: Tensor) -> list[int]:
    """Tokens of each member of a batch, of which a nested one has several numbers."""
    if tokens.is_nested:
        return [int(size[0]) for size in tokens._nested_tensor_size()]
    return [tokens.shape[1]] * tokens.shape[0]


def _count_fused_attention(query: Tensor, key: Tensor, value: Tensor, width: int, *args: Any, out_val: Any = None,
                           **kwargs: Any) -> int:
    """Four projections and two products; key and value have one length."""
    pairs = list(zip(_list_lengths(query), _list_lengths(key)))
    return 2 * sum(2 * (own + other) * width**2 + 2 * own * other * width for own, other in pairs)


def _count_encoder_layer(tokens: Tensor, width: int, *args: Any, out_val: Any = None, **kwargs: Any) -> int:
    """Attention of the tokens with themselves, and the two layers behind it."""
    first, second = args[FEED_FORWARD[0]], args[FEED_FORWARD[1]]
    layers = 2 * sum(_list_lengths(tokens)) * (first.numel() + second.numel())
    return _count_fused_attention(tokens, tokens, tokens, width) + layers


for _formula in (_count_fused_attention, _count_encoder_layer):
    setattr(_formula, "_get_raw", True)  # noqa: B010  (torch's counter then hands over tensors, not their shapes)

FORMULAS: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _count_attention,
    aten._native_multi_head_attention: _count_fused_attention,
    aten._transformer_encoder_layer_fwd: _count_encoder_layer,
    aten._trilinear: _count_trilinear,
    aten._addmm_activation: _count_added_product, aten.addmv: _count_added_product,
    aten.mv: _count_product, aten.dot: _count_product, aten.vdot: _count_product, aten._int_mm: _count_product,
    aten.mkldnn_rnn_layer: _count_recurrent, aten._cudnn_rnn: _count_recurrent,
    **({} if CONVOLVE is None else {CONVOLVE: _count_convolution}),
}

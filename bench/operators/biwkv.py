"""Bi-WKV, the bidirectional linear attention of RWKV codecs, as the public GPU kernel computes it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-6
FLOOR = -1e38  # exponent of an empty sum


def biwkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int = 32) -> Tensor:
    """Mix tokens over a sequence: w, u (C,); k, v (B, T, C); result (B, T, C). float32 or float64."""
    batch, tokens, channels = k.shape
    length = -(-tokens // runs)
    count = -(-tokens // length)
    fill = (0, 0, 0, count * length - tokens)
    ks = functional.pad(k, fill, value=FLOOR).view(batch, count, length, channels).unbind(2)
    vs = functional.pad(v, fill).view(batch, count, length, channels).unbind(2)

    left, right = _run_sums(w, ks, vs)
    a, b, o2 = _scan(left, w * length, reverse=False)
    c, d, o1 = _scan(right, w * length, reverse=True)
    first = (ks[0] - o1).exp()
    c, d = c - first * vs[0], d - first
    outputs = []
    for i in range(length):
        uk = u + ks[i]
        n = torch.maximum(torch.maximum(o1, o2), uk)
        e1, e2, e3 = (o1 - n).exp(), (o2 - n).exp(), (uk - n).exp()
        outputs.append((c * e1 + a * e2 + e3 * vs[i]) / (d * e1 + b * e2 + e3 + EPS))
        if i + 1 < length:
            a, b, o2 = _add((a, b, o2 - w), ks[i], vs[i])
            n = torch.maximum(o1, ks[i + 1])
            e1, e3 = (o1 - n).exp(), (ks[i + 1] - n).exp()
            c, d, o1 = c * e1 - e3 * vs[i + 1], d * e1 - e3, n + w
    return torch.stack(outputs, 2).view(batch, count * length, channels)[:, :tokens]


def _run_sums(w, ks, vs):
    """Sums of each run as seen from the start of the next one, and from its own start."""
    empty = torch.zeros_like(ks[0]), torch.zeros_like(ks[0]), torch.full_like(ks[0], FLOOR)
    left = right = empty
    for j in range(len(ks)):
        a, b, o = _add(left, ks[j], vs[j])
        left = a, b, o - w
        c, d, o = right
        right = _add((c, d, o - w), ks[-1 - j], vs[-1 - j])
    return left, right


def _scan(sums, shift, reverse):
    """Add up the runs before each run (reverse: each run and those after it)."""
    state = tuple(torch.zeros_like(part[:, 0]) for part in sums[:2]) + (torch.full_like(sums[2][:, 0], FLOOR),)
    states = []
    count = sums[0].shape[1]
    for r in reversed(range(count)) if reverse else range(count):
        a, b, o = state
        own = tuple(part[:, r] for part in sums)
        if reverse:
            state = _join((a, b, o - shift), own)
            states.insert(0, state)
        else:
            states.append(state)
            state = _join((a, b, o - shift), own)
    return tuple(torch.stack(parts, 1) for parts in zip(*states))


def _join(one, other):
    n = torch.maximum(one[2], other[2])
    e, f = (one[2] - n).exp(), (other[2] - n).exp()
    return one[0] * e + other[0] * f, one[1] * e + other[1] * f, n


def _add(state, k, v):
    a, b, o = state
    n = torch.maximum(o, k)
    e, f = (o - n).exp(), (k - n).exp()
    return a * e + f * v, b * e + f, n

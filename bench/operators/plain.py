"""Bi-WKV in plain torch, for where no kernel can be built: all runs at once, a loop over the tokens of a run.

The same sums and the same gradient as in biwkv.h and biwkv_gradient.h; their comments explain them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-6
FLOOR = -1e38  # exponent of an empty sum, and of the tokens that fill up the last run


@dataclass
class Sum:
    """Two sums over tokens, x e^top and one e^top, where top is their largest exponent; in the backward pass also
    their derivatives by w, as parts of e^top, and that of top. A token (k, v) is the sum (v, 1, k)."""

    x: Tensor
    one: Tensor
    top: Tensor
    slopes: tuple[Tensor, ...] = ()  # of x, one and top in the backward pass

    def __add__(self, other: Sum) -> Sum:
        top = torch.maximum(self.top, other.top)
        old, new = (self.top - top).exp(), (other.top - top).exp()
        slopes: tuple[Tensor, ...] = ()
        if self.slopes:
            (x, one, own), (its_x, its_one, its) = self.slopes, other.slopes
            slopes = x * old + its_x * new, one * old + its_one * new, torch.where(self.top >= other.top, own, its)
        return Sum(self.x * old + other.x * new, self.one * old + other.one * new, top, slopes)

    def faded(self, w: Tensor, distance: int = 1) -> Sum:
        """Multiply by e^(-w distance)."""
        slopes: tuple[Tensor, ...] = ()
        if self.slopes:
            x, one, top = self.slopes
            slopes = x - distance * self.x, one - distance * self.one, top - distance
        return Sum(self.x, self.one, self.top - w * distance, slopes)

    def without(self, k: Tensor, v: Tensor) -> Sum:
        """Take away a token that is in the sums; their exponent stays."""
        weight = (k - self.top).exp()
        return Sum(self.x - weight * v, self.one - weight, self.top, self.slopes)

    def of_run(self, r: int) -> Sum:
        """The sums of run ``r`` alone."""
        return Sum(self.x[:, r], self.one[:, r], self.top[:, r], tuple(part[:, r] for part in self.slopes))


@dataclass
class Shares:
    """Weights of the left sums, the right sums and the token itself, as parts of the largest, e^top."""

    left: Tensor
    right: Tensor
    own: Tensor
    top: Tensor
    winner: Tensor  # 0, 1, 2: which of the three is the largest


def forward(w: Tensor, u: Tensor, k: Tensor, v: Tensor, runs: int) -> Tensor:
    """w, u (C,); k, v (B, T, C); result (B, T, C)."""
    ks, vs = _cut(k, runs, FLOOR), _cut(v, runs, 0.0)
    _, _, left, right = _sums(w, ks, vs, slopes=False)
    outputs = [_output(left, right, _shares(left, right, u + ks[i]), vs[i])[0]
               for i, left, right in _walk(w, ks, vs, left, right)]
    return _uncut(outputs, k.shape[1])


def backward(grad: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor,
             runs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of w, u (C,) and k, v (B, T, C) from that of the output."""
    tokens = k.shape[1]
    ks, vs, grads = _cut(k, runs, FLOOR), _cut(v, runs, 0.0), _cut(grad, runs, 0.0)

    length = len(ks)
    own_left, own_right, left, right = _sums(w, ks, vs, slopes=True)
    gw, gu = torch.zeros_like(ks[0]), torch.zeros_like(ks[0])
    kept = []
    for i, before, after in _walk(w, ks, vs, left, right):
        share = _shares(before, after, u + ks[i])
        y, under = _output(before, after, share, vs[i])
        g = grads[i] / under
        h = g * y
        by_top = -EPS * h
        (lx, lone, ltop), (rx, rone, rtop) = before.slopes, after.slopes
        gw = gw + g * (rx * share.right + lx * share.left) - h * (rone * share.right + lone * share.left)
        gw = gw + by_top * torch.where(share.winner == 0, ltop, torch.where(share.winner == 1, rtop, 0.0))
        gu = gu + share.own * (g * vs[i] - h) + torch.where(share.winner == 2, by_top, 0.0)
        kept.append((g, h, before.top, after.top, share))

    gk, gv, ends = _token_gradients(w, u, ks, vs, kept)
    grad_left, left_top, grad_right, right_top = _scan_gradients(w, length, own_left, own_right, left, right, *ends)
    for i in range(length):
        e = (ks[i] - w * (length - i) + grad_left.top).exp()
        f = (ks[i] - w * i + grad_right.top).exp()
        x, one = grad_left.x * e + grad_right.x * f, grad_left.one * e + grad_right.one * f
        gv[i] = gv[i] + x
        gk[i] = (gk[i] + x * vs[i] - one + torch.where(own_left.slopes[2] == i - length, left_top, 0.0)
                 + torch.where(own_right.slopes[2] == -i, right_top, 0.0))
    return gw.sum((0, 1)), gu.sum((0, 1)), _uncut(gk, tokens), _uncut(gv, tokens)


def _cut(x: Tensor, runs: int, fill: float) -> list[Tensor]:
    """(B, T, C) as a list over the tokens of a run of (B, runs, C), the last run filled up."""
    batch, tokens, channels = x.shape
    length = -(-tokens // runs)
    count = -(-tokens // length)
    padded = functional.pad(x, (0, 0, 0, count * length - tokens), value=fill)
    return list(padded.view(batch, count, length, channels).unbind(2))


def _uncut(parts: list[Tensor], tokens: int) -> Tensor:
    """Undo :func:`_cut`: (B, T, C)."""
    return torch.stack(parts, 2).flatten(1, 2)[:, :tokens].contiguous()


def _token(k: Tensor, v: Tensor, slopes: bool) -> Sum:
    """The sums of one token for each run."""
    zero = torch.zeros_like(k)
    return Sum(v, torch.ones_like(k), k, (zero, zero, zero) if slopes else ())


def _empty(like: Tensor, slopes: bool) -> Sum:
    """Sums over no token, in the shape of ``like``."""
    zero = torch.zeros_like(like)
    return Sum(zero, zero, torch.full_like(like, FLOOR), (zero, zero, zero) if slopes else ())


def _sums(w: Tensor, ks: list[Tensor], vs: list[Tensor], slopes: bool) -> tuple[Sum, Sum, Sum, Sum]:
    """Each run's own sums as the next run's start sees them and as its own does; then those of all runs before it,
    and of it and all runs after it."""
    length, count = len(ks), ks[0].shape[1]
    own_left = own_right = _empty(ks[0], slopes)
    for k, v in zip(ks, vs):
        own_left = (own_left + _token(k, v, slopes)).faded(w)
    for k, v in zip(reversed(ks), reversed(vs)):
        own_right = own_right.faded(w) + _token(k, v, slopes)

    left: list[Sum] = []
    right: list[Sum] = []
    state = _empty(ks[0][:, 0], slopes)
    for r in range(count):
        left.append(state)
        state = state.faded(w, length) + own_left.of_run(r)

    state = _empty(ks[0][:, 0], slopes)
    for r in reversed(range(count)):
        state = state.faded(w, length) + own_right.of_run(r)
        right.insert(0, state)
    return own_left, own_right, _stack(left), _stack(right)


def _stack(sums: Sequence[Sum]) -> Sum:
    """Sums of single runs, (B, C) each, as (B, runs, C)."""
    parts = zip(*((each.x, each.one, each.top, *each.slopes) for each in sums))
    x, one, top, *slopes = (torch.stack(part, 1) for part in parts)
    return Sum(x, one, top, tuple(slopes))


def _walk(w: Tensor, ks: list[Tensor], vs: list[Tensor], left: Sum, right: Sum) -> Iterator[tuple[int, Sum, Sum]]:
    """The left and the right sums of each token of the runs."""
    right = right.without(ks[0], vs[0])
    for i in range(len(ks)):
        yield i, left, right
        if i + 1 < len(ks):
            left = left.faded(w) + _token(ks[i], vs[i], bool(left.slopes))
            leaving = _token(ks[i + 1], -vs[i + 1], bool(right.slopes))
            leaving.one = -leaving.one
            right = (right + leaving).faded(w, -1)


def _shares(left: Sum, right: Sum, own_top: Tensor) -> Shares:
    """Weights of what an output is made of, from the exponents."""
    sides = torch.maximum(left.top, right.top)
    top = torch.maximum(sides, own_top)
    winner = torch.where(sides >= own_top, (right.top >= left.top).to(torch.uint8), 2)
    return Shares((left.top - top).exp(), (right.top - top).exp(), (own_top - top).exp(), top, winner)


def _output(left: Sum, right: Sum, share: Shares, v: Tensor) -> tuple[Tensor, Tensor]:
    """The output and its denominator."""
    under = right.one * share.right + left.one * share.left + share.own + EPS
    return (right.x * share.right + left.x * share.left + share.own * v) / under, under


def _token_gradients(
    w: Tensor, u: Tensor, ks: list[Tensor], vs: list[Tensor],
    outputs: list[tuple[Tensor, Tensor, Tensor, Tensor, Shares]],
) -> tuple[list[Tensor], list[Tensor], tuple[Sum, Tensor, Sum, Tensor]]:
    """Gradients of k and v through the outputs of their own run, and those of each run's left and right sums."""
    left = right = _empty(ks[0], slopes=False)
    left_top = right_top = torch.zeros_like(ks[0])
    gk, gv = list(ks), list(vs)
    for i in reversed(range(len(ks))):
        g, h, top_left, _, share = outputs[i]
        by_top = -EPS * h
        e, own = (ks[i] + left.top).exp(), (u + ks[i] - share.top).exp()
        x, one = left.x * e + g * own, left.one * e + h * own
        kept = top_left - w >= ks[i]
        top = torch.where(kept, 0.0, left_top) + torch.where(share.winner == 2, by_top, 0.0)
        left_top = torch.where(kept, left_top, 0.0) + torch.where(share.winner == 0, by_top, 0.0)

        new = Sum(g, h, -share.top)
        left, right = left.faded(w) + new, right.faded(w, -1) + new
        right_top = right_top + torch.where(share.winner == 1, by_top, 0.0)
        f = (ks[i] + right.top + (w if i else 0.0)).exp()
        x, one = x - right.x * f, one - right.one * f
        if i:
            stayed = outputs[i - 1][3] >= ks[i]
            top = top + torch.where(stayed, 0.0, right_top)
            right_top = torch.where(stayed, right_top, 0.0)
        gv[i], gk[i] = x, x * vs[i] - one + top
    return gk, gv, (left, left_top, right, right_top)


def _scan_gradients(
    w: Tensor, length: int, own_left: Sum, own_right: Sum, left: Sum, right: Sum, grad_left: Sum, left_top: Tensor,
    grad_right: Sum, right_top: Tensor,
) -> tuple[Sum, Tensor, Sum, Tensor]:
    """From the gradients of the sums before each run (and from it on) to those of each run's own sums."""
    count = left.top.shape[1]
    lefts: list[tuple[Sum, Tensor]] = []
    rights: list[tuple[Sum, Tensor]] = []
    state, top = _empty(left.top[:, 0], slopes=False), torch.zeros_like(left.top[:, 0])
    for r in reversed(range(count)):
        kept = left.top[:, r] - w * length >= own_left.top[:, r]
        lefts.insert(0, (state, torch.where(kept, 0.0, top)))
        state = state.faded(w, length) + grad_left.of_run(r)
        top = torch.where(kept, top, 0.0) + left_top[:, r]

    state, top = _empty(left.top[:, 0], slopes=False), torch.zeros_like(left.top[:, 0])
    for r in range(count):
        state = state.faded(w, length) + grad_right.of_run(r)
        top = top + right_top[:, r]
        after = right.top[:, r + 1] - w * length if r + 1 < count else torch.full_like(top, FLOOR)
        kept = after >= own_right.top[:, r]
        rights.append((state, torch.where(kept, 0.0, top)))
        top = torch.where(kept, top, 0.0)
    return *_stack_pairs(lefts), *_stack_pairs(rights)


def _stack_pairs(pairs: list[tuple[Sum, Tensor]]) -> tuple[Sum, Tensor]:
    """As :func:`_stack`, of sums and of their gradients by the top."""
    sums, tops = zip(*pairs)
    return _stack(sums), torch.stack(tops, 1)

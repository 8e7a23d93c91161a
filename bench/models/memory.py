"""What the multi-reference line remembers of a pass, and the options of its banks (yutendo0714/LIC-HPCM-MultiRef).

A bank (a module) holds networks only. What is remembered is in a :class:`Memory`, which belongs to one coding
pass, so images and passes can't see each other's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from bench.models.coders import choose_best
from bench.models.options import check_positive, check_whole

KERNELS = {"elu": lambda x: F.elu(x) + 1, "relu": lambda x: F.relu(x) + 1e-6}  # make features positive


@dataclass(frozen=True)
class BankOptions:
    """Options of a bank.

    Attributes:
        max_refs: contexts remembered.
        topk_refs: how many of them a query retrieves; fewer where fewer are stored.
        detach: store keys and values without gradients.
        temperature: divides similarities; the initial value in phase 3, where it learns.
        pair_values: see :class:`Memory` (phase 1).
        compress_ratio: channels of a context over the length of keys (phases 1 and 2).
        value_resolution: height and width of stored values (phases 2 and 3).
        kernel_type, num_heads: one of ``KERNELS``; groups in which queries and keys are normalised (phase 3).
    """

    max_refs: int
    topk_refs: int
    detach: bool
    temperature: float
    pair_values: bool = True
    compress_ratio: int = 4
    value_resolution: int = 8
    kernel_type: str = "elu"
    num_heads: int = 8

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_whole(0, max_refs=self.max_refs)
        check_whole(topk_refs=self.topk_refs, compress_ratio=self.compress_ratio,
                    value_resolution=self.value_resolution, num_heads=self.num_heads)
        check_positive(temperature=self.temperature)
        if not isinstance(self.kernel_type, str) or self.kernel_type not in KERNELS:
            raise ValueError(f"kernel_type must be one of {', '.join(KERNELS)}, not {self.kernel_type!r}")


class Memory:
    """Ring of slots: keys (B, K) and values (B, C, r, r) of the contexts added in one pass.

    Args:
        size: number of slots; context number n goes to slot n mod ``size``.
        pair_values: False keeps the values in order of age instead, so that from the first turn of the ring on
            key and value of a slot belong to different contexts.
        choose: see :meth:`bench.models.coders.StepCoder.choose`.
    """

    def __init__(self, size: int, pair_values: bool = True,
                 choose: Callable[[Tensor, int], Tensor] = choose_best) -> None:
        self.size, self.pair_values, self.count, self.choose = size, pair_values, 0, choose
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def add(self, key: Tensor, value: Tensor) -> None:
        """Store a pair, in place of the oldest when the ring is full.

        Args:
            key: (B, K).
            value: (B, C, r, r).
        """
        slot = slice(self.count % self.size, self.count % self.size + 1)
        self.keys[slot] = [key]
        if self.pair_values:
            self.values[slot] = [value]
        else:
            self.values = [*self.values, value][-self.size :]
        self.count += 1

    def copy_from(self, other: Memory) -> None:
        """Add every pair of another memory, in the order of its slots.

        Args:
            other: of the same batch.
        """
        for key, value in zip(other.keys, other.values):
            self.add(key, value)

"""The multi-reference line: HPCM whose context steps look up earlier contexts (yutendo0714/LIC-HPCM-MultiRef).

Phases 1 and 2 join what they find to the context of the next step, phase 3 to the entropy parameters of the step
itself. The published phase 3 runs without a context model; this is the smallest repair of what it was meant to be.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from bench.common.errors import ConfigurationError
from bench.models.coders import StepCoder
from bench.models.hpcm import HPCM
from bench.models.lattice import Scale
from bench.models.memory import BankOptions, Memory
from bench.models.memory_banks import CosineBank, FusionBank, KernelBank, normalised
from bench.models.options import check_flags
from bench.models.pointwise import Conv1x1
from bench.models.tabled_codec import TABLE_BUFFERS

State = dict[int, Memory]  # of the scales (0 to 2) that have one
BANK_NAMES = ("memory_bank_s1", "memory_bank_s2", "memory_bank_s3")


class MultiReference(HPCM):
    """HPCM with memory banks, whose contents belong to one pass.

    Args:
        enable_multiref: use the memory; also an attribute, read at the start of each pass. Without, the model is
            HPCM, and loads checkpoints that hold no banks.
        detach_memory: store keys and values without gradients; the networks that make them then don't learn.
        temperature: see :class:`BankOptions`.
        options: those of HPCM.

    Raises:
        ValueError: an impossible value.
    """

    rebuilt = (*TABLE_BUFFERS, "memory_keys", "memory_values", "memory_initialized", "memory_valid", "memory_count")
    bank_type: type[CosineBank]
    bank_options: dict[str, Any]

    def __init__(self, enable_multiref: bool = True, detach_memory: bool = True, temperature: float = 0.1,
                 **options: Any) -> None:
        check_flags(detach_memory=detach_memory)
        super().__init__(**options)
        self.enable_multiref = enable_multiref
        self.bank_options = {**self.bank_options, "detach": detach_memory, "temperature": temperature}

    @property
    def enable_multiref(self) -> bool:
        """Whether the memory is used."""
        return self._enable_multiref

    @enable_multiref.setter
    def enable_multiref(self, value: bool) -> None:
        check_flags(enable_multiref=value)
        self._enable_multiref = value
        self.stream_tag = 0 if value else 1
        banks = {} if value else {"memory_": None, "hierarchical_manager.": None}
        self.fill_missing = {**HPCM.fill_missing, **banks}

    def make_exact(self) -> None:
        """As of the base.

        Raises:
            ConfigurationError: keys of a bank are zero but for rounding, so that rounding decides what is found.
        """
        banks = [getattr(self, name) for name in BANK_NAMES if self.enable_multiref and hasattr(self, name)]
        if any(bank.keys_are_noise() for bank in banks):
            raise ConfigurationError("a bank of this model normalises each channel of its keys by itself, so that they"
                                     " are zero but for rounding: it has no exact configuration",
                                     "lower compress_ratio")
        super().make_exact()

    def add_bank(self, number: int, max_refs: int, topk_refs: int) -> None:
        """Give a scale a bank, unless ``max_refs`` is 0.

        Args:
            number: of the scale, 0 to 2.
            max_refs, topk_refs: see :class:`BankOptions`.

        Raises:
            ValueError: an impossible value.
        """
        options = BankOptions(max_refs, topk_refs, **self.bank_options)
        if max_refs:
            self.add_module(BANK_NAMES[number], self.bank_type(2 * self.M, options))

    def new_state(self, coder: StepCoder) -> State:
        """Make empty memories for the scales that have a bank.

        Args:
            coder: of the pass; chooses among what is remembered.

        Returns:
            Memories by number of the scale; none where the memory is not used.
        """
        if not self.enable_multiref:
            return {}
        banks = {number: getattr(self, name).options for number, name in enumerate(BANK_NAMES) if hasattr(self, name)}
        return {number: Memory(options.max_refs, options.pair_values, coder.choose)
                for number, options in banks.items()}

    def remember(self, number: int, context: Tensor, state: State) -> Tensor:
        """Add a context to the memory of its scale, where there is one.

        Args:
            number: of the scale, 0 to 2.
            context: (B, 2M, h, w).
            state: of the pass.

        Returns:
            The context.
        """
        if number in state:
            getattr(self, BANK_NAMES[number]).add(state[number], context)
        return context

    def recall(self, number: int, context: Tensor, state: State) -> Tensor:
        """Join to a context what the memory of its scale, where there is one, finds for it.

        Args:
            number: of the scale, 0 to 2.
            context: (B, 2M, h, w).
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w).
        """
        return getattr(self, BANK_NAMES[number]).enhance(state[number], context) if number in state else context

    def enter_scale(self, number: int, scale: Scale, context: Tensor | None, hyper: Tensor, state: State) -> Tensor:
        """As of the base; the first context of a scale is remembered.

        Args:
            number: of the scale, 0 to 2.
            scale: its positions.
            context: last one of the scale before, (B, 2M, ., .); None for scale 0.
            hyper: (B, 2M, H, W), what the hyper decoder gives.
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w) of the scale's own h and w.
        """
        return self.remember(number, super().enter_scale(number, scale, context, hyper, state), state)


class ContextMemory(MultiReference):
    """What phases 1 and 2 share: memory changes the context of the next step, from step 1 of a scale on."""

    def next_context(self, number: int, i: int, parameters: Tensor, context: Tensor, state: State) -> Tensor:
        """As of the base; from step 1 on the next context is joined with earlier ones; it is always remembered.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it.
            parameters: what was predicted for step ``i``, (B, 2M, h, w).
            context: what it saw, in the same shape.
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w).
        """
        context = super().next_context(number, i, parameters, context, state)
        if i > 0:
            context = self.recall(number, context, state)
        return self.remember(number, context, state)


class MemoryAtEachScale(MultiReference):
    """What phases 2 and 3 share: a bank at each scale.

    Args:
        max_refs_s1 to max_refs_s3: contexts remembered; 0: no bank at this scale.
        topk_refs_s1 to topk_refs_s3: contexts retrieved.
        value_resolution: see :class:`BankOptions`.
        options: those of :class:`MultiReference`.
    """

    def __init__(self, max_refs_s1: int = 2, max_refs_s2: int = 3, max_refs_s3: int = 4, topk_refs_s1: int = 1,
                 topk_refs_s2: int = 2, topk_refs_s3: int = 2, value_resolution: int = 8, **options: Any) -> None:
        self.bank_options = {**self.bank_options, "value_resolution": value_resolution}
        super().__init__(**options)
        for number, sizes in enumerate(((max_refs_s1, topk_refs_s1), (max_refs_s2, topk_refs_s2),
                                        (max_refs_s3, topk_refs_s3))):
            self.add_bank(number, *sizes)


class MultiRefPhase1(ContextMemory):
    """Phase 1: one bank, at scale 3.

    Args:
        max_refs, topk_refs: contexts remembered (0: no bank) and retrieved.
        compress_ratio: see :class:`BankOptions`.
        pair_values: give each key its own value. The published code takes others once the memory is full.
        options: those of :class:`MultiReference`.
    """

    bank_type = CosineBank

    def __init__(self, max_refs: int = 4, topk_refs: int = 2, compress_ratio: int = 4, pair_values: bool = False,
                 **options: Any) -> None:
        check_flags(pair_values=pair_values)
        self.bank_options = {"compress_ratio": compress_ratio, "pair_values": pair_values}
        super().__init__(**options)
        self.add_bank(2, max_refs, topk_refs)


class MultiRefPhase2(ContextMemory, MemoryAtEachScale):
    """Phase 2: a bank at each scale, with richer values and fusion.

    Args:
        compress_ratio: see :class:`BankOptions`.
        enable_hierarchical_transfer: have the published adapters between scales, which transfer nothing.
        options: those of :class:`MemoryAtEachScale`.
    """

    bank_type = FusionBank

    def __init__(self, compress_ratio: int = 4, enable_hierarchical_transfer: bool = False, **options: Any) -> None:
        check_flags(enable_hierarchical_transfer=enable_hierarchical_transfer)
        self.bank_options = {"compress_ratio": compress_ratio}
        super().__init__(**options)
        if enable_hierarchical_transfer:
            self.hierarchical_manager = nn.ModuleDict({
                name: nn.Sequential(Conv1x1(2 * self.M, 2 * self.M))
                for name in ("s1_to_s2_adapter", "s2_to_s3_adapter")
            })


class MultiRefPhase3(MemoryAtEachScale):
    """Phase 3: memory changes the entropy parameters of every context step, and moves on to the next scale.

    Args:
        kernel_type, num_heads: see :class:`BankOptions`.
        enable_hierarchical_transfer: begin the memory of a scale with a copy of that of the scale before.
        attn_s3_window: side of the attention windows of scale 3, 1, 2, 4, 8 or 16; 16 in the published class.
        detach_memory: False by default, as published: all that makes keys and values learns.
        options: those of :class:`MemoryAtEachScale`.
    """

    bank_type = KernelBank

    def __init__(self, kernel_type: str = "elu", num_heads: int = 8, enable_hierarchical_transfer: bool = True,
                 attn_s3_window: int = 8, detach_memory: bool = False, **options: Any) -> None:
        check_flags(enable_hierarchical_transfer=enable_hierarchical_transfer)
        if type(attn_s3_window) is not int or attn_s3_window not in (1, 2, 4, 8, 16):  # divisors of sides
            raise ValueError(f"attn_s3_window must be 1, 2, 4, 8 or 16, not {attn_s3_window!r}")

        self.windows = (*HPCM.windows[:2], attn_s3_window)
        self.enable_hierarchical_transfer = enable_hierarchical_transfer
        self.bank_options = {"kernel_type": kernel_type, "num_heads": num_heads}
        super().__init__(detach_memory=detach_memory, **options)

        if enable_hierarchical_transfer:  # the published networks for it, which do nothing
            for name in ("memory_manager_s1_to_s2", "memory_manager_s2_to_s3"):
                self.add_module(name, nn.ModuleDict({"cross_proj": normalised(2 * self.M, num_heads)}))

    def enter_scale(self, number: int, scale: Scale, context: Tensor | None, hyper: Tensor, state: State) -> Tensor:
        """As of the phases before; with transfer the scale's memory begins with that of the scale before.

        Args:
            number: of the scale, 0 to 2.
            scale: its positions.
            context: last one of the scale before, (B, 2M, ., .); None for scale 0.
            hyper: (B, 2M, H, W), what the hyper decoder gives.
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w) of the scale's own h and w.
        """
        if self.enable_hierarchical_transfer and number in state and number - 1 in state:
            state[number].copy_from(state[number - 1])
        return super().enter_scale(number, scale, context, hyper, state)

    def predict(self, number: int, i: int, context: Tensor, latents: Tensor, state: State) -> Tensor:
        """As of the base, joined with what the memory finds for it.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it; (0, 0) is not predicted.
            context: (B, 2M, h, w).
            latents: (B, M, h, w), zero where not decoded.
            state: of the pass.

        Returns:
            Scales, then means, (B, 2M, h, w).
        """
        return self.recall(number, super().predict(number, i, context, latents, state), state)

    def next_context(self, number: int, i: int, parameters: Tensor, context: Tensor, state: State) -> Tensor:
        """As of the base; the next context is remembered.

        Args:
            number: of the scale, 0 to 2.
            i: of the step in it.
            parameters: what was predicted for step ``i``, (B, 2M, h, w).
            context: what it saw, in the same shape.
            state: of the pass.

        Returns:
            Tensor (B, 2M, h, w).
        """
        return self.remember(number, super().next_context(number, i, parameters, context, state), state)

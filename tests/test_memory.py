"""Memory banks give what their definition gives, written here again with loops over single images."""

from __future__ import annotations

import math

import pytest
import torch
from multiref_models import PHASES, images, tiny
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.memory import Memory


class BankByHand:
    """One image's memory: lists of numbers and maps, networks straight from the state dict."""

    def __init__(self, phase: int, weights: dict[str, Tensor], slots: int, chosen: int, temperature: float = 0.1,
                 pair_values: bool = False) -> None:
        self.phase, self.weights, self.slots, self.chosen = phase, weights, slots, chosen
        self.temperature, self.pair_values = temperature, pair_values
        self.keys: dict[int, list[float]] = {}
        self.values: dict[int, Tensor] = {}
        self.by_age: list[Tensor] = []  # phase 1: what the published code takes values from
        self.count = 0

    def layer(self, name: str, x: Tensor, **options: int) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights.get(f"{name}.bias"), padding=weight.shape[2] // 2, **options)

    def normed(self, name: str, x: Tensor, groups: int) -> Tensor:
        parts = [(part - part.mean()) / torch.sqrt(part.var(correction=0) + 1e-5) for part in x.chunk(groups, dim=1)]
        scale, shift = (self.weights[f"{name}.{kind}"].view(1, -1, 1, 1) for kind in ("weight", "bias"))
        return torch.cat(parts, dim=1) * scale + shift

    def features(self, name: str, x: Tensor) -> list[float]:
        """Key or query of a context."""
        if self.phase == 3:
            x = F.elu(self.normed(f"{name}.1", self.layer(f"{name}.0", x), 8)) + 1
        elif name == "key_encoder":
            x = self.normed("key_encoder.1", self.layer("key_encoder.0", x), 8)
        else:
            x = self.layer("query_proj", x) if self.phase == 1 else F.gelu(self.layer("query_proj.0", x))
        return [float(plane.mean()) for plane in x[0]]

    def encoded(self, x: Tensor) -> Tensor:
        if self.phase == 1:
            return F.adaptive_avg_pool2d(self.layer("value_proj", x), [max(1, side // 4) for side in x.shape[2:]])
        x = F.gelu(self.layer("value_encoder.1", self.layer("value_encoder.0", x, groups=x.shape[1])))
        return F.adaptive_avg_pool2d(x if self.phase == 2 else self.layer("value_encoder.3", x), 8)

    def decoded(self, value: Tensor, size: torch.Size) -> Tensor:
        x = F.interpolate(value, size, mode="bilinear", align_corners=False)
        if self.phase == 1:
            return x
        x = self.layer("value_decoder.2", F.gelu(self.layer("value_decoder.0", x)), groups=x.shape[1])
        return x if self.phase == 2 else self.layer("value_decoder.3", x)

    def store(self, key: list[float], value: Tensor) -> None:
        self.keys[self.count % self.slots] = key
        self.values[self.count % self.slots] = value
        if len(self.by_age) == self.slots:
            self.by_age.pop(0)
        self.by_age.append(value)
        self.count += 1

    def add(self, context: Tensor) -> None:
        self.store(self.features("key_proj" if self.phase == 3 else "key_encoder", context), self.encoded(context))

    def similarity(self, query: list[float], key: list[float]) -> float:
        product = sum(a * b for a, b in zip(query, key))
        if self.phase == 3:
            return product / (float(self.weights["temperature"]) + 1e-8)
        norms = [max(math.sqrt(sum(a * a for a in vector)), 1e-12) for vector in (query, key)]
        return product / norms[0] / norms[1] / self.temperature

    def enhance(self, context: Tensor) -> Tensor:
        query = self.features("query_proj", context)
        similar = {slot: self.similarity(query, key) for slot, key in self.keys.items()}
        best = sorted(similar, key=lambda slot: (-similar[slot], slot))[: self.chosen]
        total = sum(math.exp(similar[slot] - similar[best[0]]) for slot in best)
        retrieved = torch.zeros_like(context)
        for slot in best:
            value = self.by_age[slot] if self.phase == 1 and not self.pair_values else self.values[slot]
            weight = math.exp(similar[slot] - similar[best[0]]) / total
            retrieved += weight * self.decoded(value, context.shape[2:])
        both = torch.cat((context, retrieved), dim=1)
        if self.phase == 1:
            gate, fused = torch.sigmoid(self.layer("fusion_gate.0", both)), retrieved
        elif self.phase == 2:
            gate, fused = torch.sigmoid(self.layer("fusion_gate.0", both)), self.layer("fusion_net.0", both)
            fused = F.gelu(self.normed("fusion_net.1", fused, 16))
            fused = self.layer("fusion_net.4", self.layer("fusion_net.3", fused, groups=fused.shape[1]))
        else:
            gate = torch.sigmoid(self.layer("gate_net.2", F.gelu(self.layer("gate_net.0", both))))
            fused = F.gelu(self.normed("fusion_net.1", self.layer("fusion_net.0", both), 8))
            fused = F.gelu(self.normed("fusion_net.4", self.layer("fusion_net.3", fused), 8))
            fused = self.layer("fusion_net.6", fused)
        return gate * fused + (1 - gate) * context


def watch(model: nn.Module, image: Tensor) -> list[tuple[str, int, int, Tensor, Tensor]]:
    """What the base's networks gave and what the walk went on with: (kind, scale, step, before, after)."""
    outputs, events = [], []
    modules = [model.attn_s1, model.attn_s2, model.attn_s3, *model.context_net, model.y_spatial_prior_s1_s2,
               model.y_spatial_prior_s3]
    handles = [module.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for module in modules]
    enter_scale, predict, next_context = model.enter_scale, model.predict, model.next_context

    def entered(number, *rest):
        after = enter_scale(number, *rest)
        events.append(("enter", number, -1, after if number == 0 else outputs[-1], after))
        return after

    def stepped(kind, method):
        def call(number, i, *rest):
            after = method(number, i, *rest)
            events.append((kind, number, i, outputs[-1], after))
            return after
        return call

    model.enter_scale = entered
    model.predict, model.next_context = stepped("predict", predict), stepped("next", next_context)
    with torch.no_grad():
        model(image)
    for handle in handles:
        handle.remove()
    del model.enter_scale, model.predict, model.next_context
    return events


def replay(phase: int, banks: dict[int, BankByHand], transfer: bool, events) -> None:
    """Walk the recorded events with banks by hand; every result must be the model's."""
    for kind, number, i, before, after in events:
        bank, expected = banks.get(number), before
        if kind == "enter" and transfer and bank and number - 1 in banks:
            for slot in sorted(banks[number - 1].keys):
                bank.store(banks[number - 1].keys[slot], banks[number - 1].values[slot])
        if bank and ((phase == 3 and kind == "predict") or (phase < 3 and kind == "next" and i > 0)):
            expected = bank.enhance(before)
        torch.testing.assert_close(after, expected, rtol=1e-9, atol=1e-11)
        if bank and kind in ("enter", "next"):
            bank.add(expected)


CASES = [
    (1, {"max_refs": 1}), (1, {"max_refs": 2}), (1, {"max_refs": 3, "topk_refs": 3}), (1, {}),
    (1, {"max_refs": 2, "pair_values": True, "temperature": 0.5}),
    (2, {"max_refs_s1": 1, "max_refs_s2": 1, "max_refs_s3": 1}), (2, {"max_refs_s2": 2, "max_refs_s3": 2}), (2, {}),
    (2, {"max_refs_s1": 0, "max_refs_s3": 3, "topk_refs_s3": 3, "temperature": 0.4}),
    (3, {"max_refs_s1": 1, "max_refs_s2": 1, "max_refs_s3": 1}), (3, {"max_refs_s2": 2, "max_refs_s3": 2}), (3, {}),
    (3, {"max_refs_s2": 0, "max_refs_s3": 3, "topk_refs_s3": 3}), (3, {"enable_hierarchical_transfer": False}),
]


@pytest.mark.parametrize("phase, options", CASES)
def test_every_step_is_that_of_memory_by_hand(phase, options):
    model = tiny(phase, **options).double()
    image = images(1).double()
    banks = {}
    for number in (2,) if phase == 1 else (0, 1, 2):
        tail = "" if phase == 1 else f"_s{number + 1}"
        slots = options.get(f"max_refs{tail}", 4 if phase == 1 else (2, 3, 4)[number])
        chosen = options.get(f"topk_refs{tail}", 2 if phase == 1 else (1, 2, 2)[number])
        prefix = f"memory_bank_s{number + 1}."
        weights = {name.removeprefix(prefix): value for name, value in model.state_dict().items()
                   if name.startswith(prefix)}
        assert bool(weights) == bool(slots)
        if slots:
            banks[number] = BankByHand(phase, weights, slots, chosen, options.get("temperature", 0.1),
                                       options.get("pair_values", False))
    events = watch(model, image)
    assert [kind for kind, *_ in events].count("predict") == 10 and len(events) == 3 + 10 + 9
    replay(phase, banks, phase == 3 and options.get("enable_hierarchical_transfer", True), events)
    assert sum(not torch.equal(before, after) for *_, before, after in events) >= 4  # memory did something


@pytest.mark.parametrize("phase", PHASES)
def test_of_equal_contexts_the_lower_slots_are_taken(phase):
    model = tiny(phase, **({"topk_refs": 3} if phase == 1 else {"topk_refs_s3": 3}))
    bank, memory, context = model.memory_bank_s3, Memory(4), torch.randn(2, 16, 8, 8)
    with torch.no_grad():
        for _ in range(4):
            bank.add(memory, context)
        slots, weights = bank.choose(memory, context)
    assert slots.tolist() == [[0, 1, 2]] * 2
    torch.testing.assert_close(weights, torch.full((2, 3), 1 / 3))


def test_a_ring_keeps_the_last_contexts_by_slot_and_copies_them_in_that_order():
    pairs = [(torch.full((1, 2), float(n)), torch.full((1, 2, 1, 1), float(n))) for n in range(6)]
    kept, by_age = Memory(4), Memory(4, pair_values=False)
    for key, value in pairs:
        kept.add(key, value)
        by_age.add(key, value)
    assert [int(key[0, 0]) for key in kept.keys] == [int(key[0, 0]) for key in by_age.keys] == [4, 5, 2, 3]
    assert [int(value[0, 0]) for value in kept.values] == [4, 5, 2, 3]
    assert [int(value[0, 0]) for value in by_age.values] == [2, 3, 4, 5]
    above = Memory(3)
    above.copy_from(kept)
    assert [int(key[0, 0]) for key in above.keys] == [int(value[0, 0]) for value in above.values] == [3, 5, 2]

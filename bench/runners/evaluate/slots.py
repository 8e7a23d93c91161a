"""Places on this machine where units run: one for each visible GPU, the others on the processor alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from bench.codecs.base import CODECS
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.unit import Unit

VISIBLE = "CUDA_VISIBLE_DEVICES"
_GPU = re.compile(r"\d+\Z|GPU-|MIG-")


@dataclass(frozen=True)
class Slot:
    """A place for one unit at a time.

    Attributes:
        name: of those of the machine, as rows have it: "gpu1", "cpu0".
        gpu: the only one that its processes see, as ``CUDA_VISIBLE_DEVICES`` calls it; None where nothing is hidden.
        spares_gpus: units that want a GPU are left to other slots.
    """

    name: str
    gpu: str | None = None
    spares_gpus: bool = False

    @property
    def environment(self) -> Mapping[str, str]:
        """What its processes' has to say before anything is imported there."""
        return {} if self.gpu is None else {VISIBLE: self.gpu}

    def accepts(self, unit: Unit) -> bool:
        """Whether a unit may run there."""
        return not (self.spares_gpus and wants_gpu(unit))


def wants_gpu(unit: Unit) -> bool:
    """Whether a unit runs on a GPU."""
    return unit.device.startswith("cuda") and CODECS.get(unit.spec.codec).uses_torch


def list_visible_gpus() -> list[str]:
    """Return the GPUs that processes of this one would see, as ``CUDA_VISIBLE_DEVICES`` calls them."""
    named = os.environ.get(VISIBLE)
    if named is None:
        import torch

        return [str(number) for number in range(torch.cuda.device_count())]
    gpus: list[str] = []
    for name in map(str.strip, named.split(",")):
        if not _GPU.match(name):  # "", "-1", or Slurm's "NoDevFiles": what follows is hidden
            break
        gpus.append(name)
    return gpus


def count_gpus(units: Iterable[Unit]) -> int:
    """Return how many of the visible GPUs have something to do: at most one for each unit that wants one."""
    wanting = sum(map(wants_gpu, units))
    return min(len(list_visible_gpus()), wanting) if wanting else 0


def make_slots(units: Iterable[Unit], jobs: int) -> list[Slot]:
    """Return ``jobs`` slots: the visible GPUs first, where units want them, then others for what wants none.

    Where all units want a GPU and there are more slots than GPUs, which only a user asks for, these are shared evenly.
    """
    wanting = [wants_gpu(unit) for unit in units]
    gpus = list_visible_gpus() if any(wanting) else []
    if not gpus:
        return [Slot(f"cpu{number}") for number in range(jobs)]

    count = jobs if all(wanting) else min(jobs, len(gpus))
    slots = [Slot(f"gpu{number % len(gpus)}", gpus[number % len(gpus)]) for number in range(count)]
    return slots + [Slot(f"cpu{number}", spares_gpus=True) for number in range(jobs - count)]


class SlotServers:
    """Servers that fork the processes of slots, one for each environment, started when they are needed first.

    Args:
        modules: what they import, see :class:`ForkServer`.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules, self._stack = modules, ExitStack()
        self._servers: dict[str | None, ForkServer] = {}

    def __enter__(self) -> SlotServers:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def find_address(self, slot: Slot) -> str:
        """Return where the server of a slot listens, started anew where it was killed."""
        if slot.gpu not in self._servers:
            server = ForkServer(self._modules, slot.environment)
            self._servers[slot.gpu] = self._stack.enter_context(server)
        return self._servers[slot.gpu].find_address()

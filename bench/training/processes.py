"""Several GPUs: one process each, started by ``torchrun``, gradients averaged by DistributedDataParallel."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from bench.common.errors import ConfigurationError
from bench.models.half_precision import halve_precision

T = TypeVar("T")
TRANSFORMS = ("analysis", "synthesis", "hyper_analysis")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank, number: which of how many.
        device: where it computes.
    """

    rank: int = 0
    number: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and files."""
        return self.rank == 0

    def wrap(self, model: nn.Module, half: bool = False) -> nn.Module:
        """The model on this device, whose backward pass averages gradients over all processes.

        Args:
            half: let its transforms compute in bfloat16 while it trains.

        Raises:
            ConfigurationError: ``half``, and the model has other parts than the family's.
        """
        if half:
            self._halve_transforms(model)
        model = model.to(self.device)
        if self.number == 1:
            return model
        places = [self.device] if self.device.type == "cuda" else None
        # Which parameters a step reaches depends on what is frozen and on the variant.
        return nn.parallel.DistributedDataParallel(model, places, find_unused_parameters=True)

    def _halve_transforms(self, model: nn.Module) -> None:
        """Use mixed precision where it is safe.

        Latents reach tens of quantisation steps and get noise of half a step, which bfloat16 with its eight bits can't
        tell apart; likelihoods fall to 1e-9. So what comes out of a transform, the context model, the entropy model and
        the loss stay float32.
        """
        if missing := [name for name in TRANSFORMS if not hasattr(model, name)]:
            raise ConfigurationError(f"{type(model).__name__} can't be trained in half precision: it has no"
                                     f" {', '.join(missing)}", "leave out --half")

        for name in TRANSFORMS:
            setattr(model, name, halve_precision(getattr(model, name), self.device.type, torch.bfloat16,
                                                 enabled=lambda: model.training))

    def mean(self, values: Tensor) -> Tensor:
        """Detached values averaged over all processes."""
        values = values.detach().clone()
        if self.number > 1:
            distributed.all_reduce(values)
            values /= self.number
        return values

    def from_first(self, function: Callable[[], T]) -> T:
        """What ``function`` returns in the first process, in all of them: all decide alike, and one writes files."""
        if self.number == 1:
            return function()

        shared: list[Any] = [function() if self.leads else None]
        distributed.broadcast_object_list(shared, 0, device=self.device)
        return shared[0]


def set_threads(number: int) -> None:
    """Let torch use ``number`` threads; 0: as it likes."""
    if number:
        torch.set_num_threads(number)


def join_processes(device: str) -> Processes:
    """Join the processes that torchrun started, or be the only one.

    Args:
        device: "cpu", "cuda" for a GPU to each process, or "cuda:N" for that GPU.

    Raises:
        ConfigurationError: there are fewer GPUs than processes, or one GPU is given for several processes.
    """
    number = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        if local >= (gpus := torch.cuda.device_count()):
            raise ConfigurationError(f"process {local} finds {gpus} GPUs on this machine",
                                     "start as many processes as there are GPUs, or use --device cpu")
        device = f"cuda:{local}"
    elif device != "cpu" and number > 1:
        raise ConfigurationError(f"{number} processes can't share {device}", "use --device cuda, a GPU for each")
    chosen = torch.device(device)
    if number > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return Processes(rank, number, chosen)


def leave_processes() -> None:
    """Close what :func:`join_processes` opened."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()

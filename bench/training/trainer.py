"""Trains one model at one λ, and goes on exactly where an earlier process was stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.common.errors import ConfigurationError
from bench.common.interruption import note_stored
from bench.common.locks import lock_folder
from bench.common.text import format_duration
from bench.models import create_model
from bench.models.checkpoints import bare_weights, load_weights
from bench.training.balance.objectives import make_objective
from bench.training.data import Decoded, RandomCrops, as_input, load_batches, number_crops
from bench.training.early_stopping import Stopping
from bench.training.losses import Losses, rate_distortion, validate_model
from bench.training.optimise.cautious_adam import CautiousAdam
from bench.training.optimise.guard import Guard
from bench.training.optimise.parameter_groups import LearningParts, set_trainable
from bench.training.processes import Processes
from bench.training.recipes import Job
from bench.training.state import CheckpointKeeper, LogWriter, read_state, write_state

OPTIMISERS = {"adam": torch.optim.Adam, "cautious": CautiousAdam}
USUAL_CROP = 256  # of published trainings; every model of the family takes it
STATE, BEST = "state.pt", "best.pt"
COUNTERS = ("step", "elapsed_s", "origin", "best_loss", "latest")  # attributes that a state holds as they are
STATEFUL = ("optimiser", "objective", "stopping", "guard")  # those with a state of their own


class Trainer:
    """One training in ``folder``: ``state.pt`` (to go on from), ``best.pt`` (weights of the best validation), the log.

    All processes read the one state, so they must see the same ``folder``.

    Args:
        job: what to train. A state in ``folder`` that was made by another job is refused.
        folder: where state and log are kept.
        prepare: gives a fresh model its start and returns where it came from; not called when going on.
        processes: this process among those that train together.
        keeper: keeps weights of the last and the best validations, where given.
        given: plain data that a training goes on with only if it is the same, such as its start and images.
    """

    def __init__(self, job: Job, folder: Path, prepare: Callable[[nn.Module], Mapping[str, Any]] | None = None,
                 processes: Processes | None = None, keeper: CheckpointKeeper | None = None,
                 given: Mapping[str, Any] | None = None) -> None:
        self.job, self.recipe, self.folder, self.given = job, job.recipe, folder, dict(given or {})
        self.processes, self.keeper, self.state_path = processes or Processes(), keeper, folder / STATE
        if self.recipe.batch % self.processes.number:
            raise ConfigurationError(f"a batch of {self.recipe.batch} can't be split over {self.processes.number}"
                                     " processes", "choose a multiple")
        self.lock = lock_folder(folder, "trains") if self.processes.leads else None

        torch.manual_seed(job.seed)
        self.model = create_model(job.model, **job.options)
        side = min(cast(int, self.model.padding_multiple), USUAL_CROP)
        if self.recipe.crop % side:
            raise ConfigurationError(f"crops of {self.recipe.crop} pixels don't fit the model",
                                     f"their side must be a multiple of {side}")
        state = read_state(self.state_path, job, self.given) if self.state_path.exists() else None
        self.origin = dict(prepare(self.model)) if state is None and prepare else {}
        weights = dict(self.model.named_parameters())
        self.frozen = state["frozen"] if state else [name for name in weights if not weights[name].requires_grad]
        set_trainable((weights[name] for name in self.frozen), False)

        self.net = self.processes.wrap(self.model, self.recipe.half)
        self.parts = LearningParts(self.model, self.recipe)
        self.optimiser = OPTIMISERS[self.recipe.optimiser](self.parts.groups, lr=self.recipe.learning_rate)
        self.objective = make_objective(self.recipe, self.recipe.steps, self.processes)
        self.stopping = Stopping(self.recipe, self.parts.freeze_scale if self.recipe.freeze_converged else None)
        self.guard = Guard(self.state_path)
        self.step, self.elapsed_s, self.best_loss = 0, 0.0, math.inf
        self.latest: dict[str, Any] = {}
        if state is not None:
            self._restore(state)

    @property
    def is_done(self) -> bool:
        """Whether all steps are made, or training was stopped early."""
        return self.step >= self.recipe.steps or self.stopping.stopped

    def close(self) -> None:
        """Let another process, or another trainer, train in the folder."""
        if self.lock is not None:
            self.lock.release()

    def run(self, data: Decoded, held_out: Tensor | None = None, workers: int = 0, log_every: int = 50,
            save_every: int = 500, until: int | None = None) -> dict[str, float]:
        """Train to the last step, or to ``until``; returns the latest validation.

        Args:
            data: training images.
            held_out: validation images, uint8 (n, 3, H, W).
            workers: processes that make batches.
            log_every, save_every: steps between lines of the log, and between validations and saved states.
            until: step to stop at, as if interrupted, with the state saved.

        Raises:
            TrainingDiverged: the loss is no longer a number or has grown out of bounds; the last good state is kept.
        """
        recipe, last = self.recipe, min(until or self.recipe.steps, self.recipe.steps)
        if self.is_done or self.step >= last:
            return self.latest
        log = LogWriter(self.folder, self.step) if self.processes.leads else None
        self._note_stored()
        if log and self.step == 0:
            log.write("recipe", job=self.job.as_plain(), origin=self.origin, images=len(data))
        numbers = number_crops(range(self.step, last), recipe.batch, self.processes.rank, self.processes.number)
        crops = RandomCrops(data, recipe.crop, self.job.seed)

        started, window = time.monotonic() - self.elapsed_s, []
        for batch in load_batches(crops, numbers, workers, self.processes.device.type == "cuda"):
            window.append(self._step(as_input(batch, self.processes.device)))
            self.elapsed_s = time.monotonic() - started

            due = self.step % save_every == 0 or self.step == last
            if self.step % log_every == 0 or due:
                self._log(log, self.processes.mean(torch.stack(window).mean(0)))
                window = []
            if due:
                if held_out is not None:
                    self._validate(log, held_out)
                self._save()
                if self.stopping.stopped:
                    break
        if log:
            log.close()
        return self.latest

    def _step(self, x: Tensor) -> Tensor:
        """One optimiser step: loss, bpp, MSE, squared norm of the gradient, detached."""
        rate = self.job.learning_rate(self.step)
        self.parts.start_step(self.step / self.recipe.steps, self.optimiser, rate)
        self.objective.start_step(self.step)
        self.net.train()
        torch.manual_seed(noise_seed(self.job.seed, self.step, self.processes.rank))

        losses, output = self._compute_losses(self.net, x)
        loss = self.objective.loss(self.model, losses, output)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip or math.inf)
        if self.guard.allows_step(norm):
            self.optimiser.step()
            self.objective.finish_step(lambda: self._compute_losses(self.model, x), self.model)
        self.step += 1
        return torch.stack([losses.total.detach(), losses.bpp.detach(), losses.mse.detach(), norm.detach()])

    def _compute_losses(self, net: nn.Module, x: Tensor) -> tuple[Losses, Mapping[str, Any]]:
        output = net(x)
        return rate_distortion(output, x, self.job.lambda_, self.job.metric), output

    def _log(self, log: LogWriter | None, means: Tensor) -> None:
        loss, bpp, mse, norm = means.tolist()
        self.guard.check_loss(self.step, loss, self.model)
        if log is None:
            return
        psnr = -10 * math.log10(max(mse, 1e-12))
        log.write("step", step=self.step, learning_rate=self.job.learning_rate(self.step - 1), loss=loss, bpp=bpp,
                  mse=mse, psnr_db=psnr, gradient_norm=norm, elapsed_s=round(self.elapsed_s, 1),
                  skipped=self.guard.skipped, **self.objective.logged())
        left = (self.recipe.steps - self.step) * self.elapsed_s / self.step
        print(f"step {self.step}/{self.recipe.steps}  loss {loss:.4g}  {bpp:.4g} bpp  {psnr:.2f} dB"
              f"  {format_duration(left)} left", flush=True)

    def _validate(self, log: LogWriter | None, held_out: Tensor) -> None:
        rates = bool(self.stopping.by_scale) or self.objective.needs_rates
        self.latest = result = self.processes.from_first(
            lambda: validate_model(self.model, held_out, self.job, self.processes.device, rates))
        self.objective.record(result)
        self.stopping.record(result)

        is_best = result["loss"] < self.best_loss
        self.best_loss = min(self.best_loss, result["loss"])
        if log is not None:
            log.write("validation", step=self.step, **result)
            print(f"  held out: loss {result['loss']:.4g}  {result['bpp']:.4g} bpp  {result['psnr_db']:.2f} dB"
                  f"{'  best' if is_best else ''}", flush=True)
            if is_best:
                write_state(self.folder / BEST, bare_weights(self.model))
            if self.keeper is not None:
                self.keeper.save(self.step, bare_weights(self.model), result["loss"])

    def _save(self) -> None:
        """Write all that the next step depends on; a state with weights that are not finite is never written."""
        self.guard.check_weights(self.model)
        if self.processes.leads:
            write_state(self.state_path, {
                "job": self.job.as_plain(), "given": self.given, "frozen": self.frozen,
                "model": bare_weights(self.model), **{name: getattr(self, name) for name in COUNTERS},
                **{name: getattr(self, name).state_dict() for name in STATEFUL}})
        self._note_stored()

    def _note_stored(self) -> None:
        step = f"step {self.step}" if self.step else "no step"
        note_stored(f"{step} of {self.recipe.steps} is stored in {self.folder}")

    def _restore(self, state: dict[str, Any]) -> None:
        load_weights(self.model, state["model"], str(self.state_path))
        for name in COUNTERS:
            setattr(self, name, state[name])
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])


def noise_seed(seed: int, step: int, process: int = 0) -> int:
    """Seed of the noise of one step in one process: nothing that was drawn before matters, so resuming is exact."""
    return int(np.random.SeedSequence((seed, process, step)).generate_state(1)[0])

"""Searches good hyper-parameters of a recipe at one λ: Optuna proposes trainings and ends the worse ones early.

All that is known is on disk: Optuna's journal says what was proposed, a folder for each trial holds its training. A
search that was killed goes on with the trials it left, each where its training was; several processes may share one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import Any

import optuna
import torch
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from bench.common.errors import ConfigurationError
from bench.common.files import match_files
from bench.common.locks import FolderInUse, hold_lock, lock_folder
from bench.results.stored import TRIAL
from bench.results.training_logs import read_log
from bench.training.balance.balancing import LossBelowMinimum
from bench.training.data import Images
from bench.training.optimise.guard import TrainingDiverged, make_divergence
from bench.training.processes import Processes
from bench.training.search.plan import TPE, SearchPlan
from bench.training.search.record import COMPLETE, FAILED, PRUNED, Trial, TrialEnd, read_trial, write_trial
from bench.training.start.transfer import Prepare
from bench.training.state import LOG_NAME
from bench.training.trainer import Trainer

JOURNAL_NAME, CLAIM_NAME, OUTPUT_NAME = "journal", "claim", "output.txt"
BEFORE_PRUNING = 4  # complete trials before a median is trusted
BEFORE_TPE = 5  # trials drawn evenly first
_SEEDS_OF_A_PLACE = 1_000_003  # more than there are trials
STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}


class ResumableGrid(optuna.samplers.GridSampler):
    """The grid, shuffled. Optuna's own ends the search in a way that only its optimize() allows."""

    def after_trial(self, *rest: Any) -> None:
        pass


class Search:
    """One study: trials of one plan in ``folder``, ``trial-0`` and so on, and the journal.

    Args:
        plan: what is searched. A folder that holds another plan's trials is refused.
        images: to train and validate with.
        prepare: gives each fresh model its start.

    Raises:
        ConfigurationError: no held-out images, or the folder is another plan's.
    """

    def __init__(self, plan: SearchPlan, folder: Path, images: Images, prepare: Prepare | None = None,
                 device: str = "cpu", workers: int = 0) -> None:
        if images.held_out is None:
            raise ConfigurationError("a search needs held-out images to compare trials by", "give --validation FOLDER")
        self.plan, self.folder, self.images, self.prepare = plan, folder, images, prepare
        self.device, self.workers = torch.device(device), workers
        self.settings = plan.identify_search(images.held_out)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with hold_lock(folder / CLAIM_NAME):
            self.study = optuna.create_study(
                storage=_open_journal(folder), study_name="search",
                sampler=self._make_sampler(0), load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(BEFORE_PRUNING, round(plan.prune_after * plan.job.recipe.steps)))
            self._claim_study()

    def run(self, most: int | None = None) -> Iterator[Trial]:
        """Train until there are ``most`` trials (None: the whole grid), other processes' included; yields each one."""
        if self.plan.sampler == TPE and most is None:
            raise ConfigurationError("the sampler 'tpe' never ends by itself", "give --trials NUMBER")
        if self.plan.sampler != TPE:
            points = math.prod(len(set(values)) for values in self.plan.values.values())
            most = min(most or points, points)
        while (taken := self._take_trial(most)) is not None:
            trial, claim = taken
            try:
                record = self._record_trial(trial)
                self.study.tell(trial, record.loss if record.state == COMPLETE else None, STATES[record.state])
            finally:
                claim.release()
            yield record

    def read_complete_trials(self) -> list[Trial]:
        """Complete trials so far, whoever made them."""
        trials = [read_trial(path) for path in match_files(self.folder, f"*/{TRIAL}")]
        return [trial for trial in trials if trial.state == COMPLETE]

    def _make_sampler(self, number: int, place: int = 0) -> optuna.samplers.BaseSampler:
        """What proposes the value in a ``place`` of trial ``number``.

        Draws are seeded by both, so that no process repeats another's, and a value is the same whether or not the
        process before was killed between two.
        """
        if self.plan.sampler == TPE:
            seed = self.plan.job.seed + number + _SEEDS_OF_A_PLACE * place
            return optuna.samplers.TPESampler(n_startup_trials=BEFORE_TPE, seed=seed)
        return ResumableGrid(self.settings["values"], seed=self.plan.job.seed)

    def _claim_study(self) -> None:
        """Note what a new study is for; refuse another's."""
        known, own = self.study.user_attrs.get("settings"), self.settings["own"]
        if known is None:
            inside = all(values[0] <= own[name] <= values[-1] for name, values in self.settings["values"].items())
            if self.plan.sampler == TPE and inside:
                self.study.enqueue_trial(own, skip_if_exists=True)  # to compare the others with
            self.study.set_user_attr("settings", self.settings)  # last: then all of it is there
        elif known != self.settings:
            other = ", ".join(key for key in self.settings if known.get(key) != self.settings[key])
            raise ConfigurationError(f"{self.folder} holds a search that differs in: {other}", "choose another --out")

    def _take_trial(self, most: int | None) -> tuple[optuna.trial.Trial, FileLock] | None:
        """A trial that a killed process left, else a new one, with the lock on its folder; None where all are begun."""
        with hold_lock(self.folder / CLAIM_NAME):
            begun = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
            for left in begun:
                if left.state == TrialState.RUNNING and (claim := self._claim_trial(left.number)) is not None:
                    if self._find_trial(left.number).state == TrialState.RUNNING:  # not ended just now
                        return optuna.trial.Trial(self.study, left._trial_id), claim
                    claim.release()
            if most is not None and len(begun) >= most:
                return None

            self.study.sampler = self._make_sampler(len(begun))
            trial = self.study.ask()
            return trial, lock_folder(self._place(trial.number), "trains", CLAIM_NAME)

    def _find_trial(self, number: int) -> optuna.trial.FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _claim_trial(self, number: int) -> FileLock | None:
        """Keep a trial for this process until what is returned is released; None where another has it."""
        try:
            return lock_folder(self._place(number), "trains", CLAIM_NAME)
        except FolderInUse:
            return None

    def _place(self, number: int) -> Path:
        return self.folder / f"trial-{number}"

    def _record_trial(self, trial: optuna.trial.Trial) -> Trial:
        """The record of a trial, after its training; one that is there already was not told to the journal yet."""
        place, plan = self._place(trial.number), self.plan
        if (place / TRIAL).exists():
            return read_trial(place / TRIAL)

        values = self._suggest_values(trial)
        with (place / OUTPUT_NAME).open("a") as output, redirect_stdout(output), closing(
                Trainer(plan.job_with(values), place, self.prepare, Processes(device=self.device))) as trainer:
            state, reason = self._train(trial, trainer)
        record = Trial(
            lambda_=plan.job.lambda_, parameters=values, state=state, steps=trainer.step, reason=reason,
            variant=plan.variant, metric=plan.job.metric, own=self.settings["own"], training=self.settings["training"],
            place=str(place), **_read_best_figures(place / LOG_NAME))
        write_trial(place, record)
        return record

    def _suggest_values(self, trial: optuna.trial.Trial) -> dict[str, float]:
        values = {}
        for place, (name, numbers) in enumerate(self.plan.values.items()):
            self.study.sampler = self._make_sampler(trial.number, place)
            values[name] = trial.suggest_float(name, min(numbers), max(numbers), log=True)
        return values

    def _train(self, trial: optuna.trial.Trial, trainer: Trainer) -> tuple[TrialEnd, str]:
        """Train to the end, or until the trial is given up: state and reason."""
        try:
            for validated in self._validations(trainer):
                if not math.isfinite(validated["loss"]):
                    raise make_divergence("the loss of held-out images is not finite", trainer.state_path)
                if trainer.step not in self._find_trial(trial.number).intermediate_values:  # by the process before
                    trial.report(validated["loss"], trainer.step)
                if not trainer.is_done and trial.should_prune():
                    return PRUNED, f"worse than the median of other trials at step {trainer.step}"
        except (TrainingDiverged, LossBelowMinimum) as error:
            return FAILED, str(error).splitlines()[0]
        return COMPLETE, ""

    def _validations(self, trainer: Trainer) -> Iterator[Mapping[str, Any]]:
        """Train on, from validation to validation; the one that a state holds comes first."""
        every = self.plan.validate_every
        if trainer.latest:
            yield trainer.latest
        while not trainer.is_done:
            yield trainer.run(self.images.training, self.images.held_out, self.workers, save_every=every,
                              until=(trainer.step // every + 1) * every)


def _open_journal(folder: Path) -> JournalStorage:
    """Optuna's own lock outlives a killed process, for whom others then wait half a minute."""
    lock: Any = FileLock(folder / f"{JOURNAL_NAME}-claim")
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL_NAME), lock))


def _read_best_figures(path: Path) -> dict[str, float]:
    """Loss, rate and quality of the best validation in a log; empty without one."""
    log = read_log(path) if path.exists() else None
    finite = [validation for validation in log.validations if math.isfinite(validation.loss)] if log else []
    best = min(finite, key=lambda validation: validation.loss, default=None)
    return {"loss": best.loss, "bpp": best.bpp, "psnr_db": best.psnr_db} if best else {}

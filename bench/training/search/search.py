"""Searches good hyper-parameters of a recipe at one λ: Optuna proposes trainings and ends the worse ones early.

All that is known is on disk: Optuna's journal says what was proposed, a folder for each trial holds its training. A
search that was killed goes on with the trials it left, each where its training was; several processes may share one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import optuna
import torch
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from bench.common.errors import ConfigurationError
from bench.common.locks import FolderInUse, lock_folder
from bench.training.balance.balancing import LossBelowMinimum
from bench.training.log import FILE as LOG_FILE
from bench.training.log import read_log
from bench.training.optimise.guard import TrainingDiverged
from bench.training.processes import Processes
from bench.training.search import record as trial_record
from bench.training.search.plan import TPE, Plan
from bench.training.search.record import COMPLETE, FAILED, PRUNED, Trial, read_trial, write_trial
from bench.training.start.sweep import Images, Prepare
from bench.training.trainer import Trainer

JOURNAL, CLAIM, OUTPUT = "journal", "claim", "output.txt"
BEFORE_PRUNING = 4  # complete trials before a median is trusted
BEFORE_TPE = 5  # trials drawn evenly first
STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}


class _Grid(optuna.samplers.GridSampler):
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

    def __init__(self, plan: Plan, folder: Path, images: Images, prepare: Prepare | None = None,
                 device: str = "cpu", workers: int = 0) -> None:
        if images.held_out is None:
            raise ConfigurationError("a search needs held-out images to compare trials by", "give --validation FOLDER")
        self.plan, self.folder, self.images, self.prepare = plan, folder, images, prepare
        self.device, self.workers = torch.device(device), workers
        self.settings = plan.settings(images.held_out)
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with FileLock(folder / CLAIM):
            self.storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
            self.study = optuna.create_study(
                storage=self.storage, study_name="search", sampler=self._sampler(0), load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(BEFORE_PRUNING, round(plan.prune_after * plan.job.recipe.steps)))
            self._check_study()

    def run(self, most: int | None = None) -> Iterator[Trial]:
        """Train until there are ``most`` trials (None: the whole grid), other processes' included; yields each one."""
        if self.plan.sampler == TPE and most is None:
            raise ConfigurationError("the sampler 'tpe' never ends by itself", "give --trials NUMBER")
        if self.plan.sampler != TPE:
            most = min(most or self.plan.points, self.plan.points)
        while (taken := self._take(most)) is not None:
            trial, claim = taken
            try:
                record = self._made(trial)
                self.study.tell(trial, record.loss if record.state == COMPLETE else None, STATES[record.state])
            finally:
                claim.release()
            yield record

    def complete(self) -> list[Trial]:
        """Complete trials so far, whoever made them."""
        records = [read_trial(path) for path in sorted(self.folder.glob(f"*/{trial_record.FILE}"))]
        return [one for one in records if one.state == COMPLETE]

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """What proposes trial ``number``; draws are seeded by it, so that no process repeats another's."""
        if self.plan.sampler == TPE:
            return optuna.samplers.TPESampler(n_startup_trials=BEFORE_TPE, seed=self.plan.job.seed + number)
        return _Grid(self.settings["values"], seed=self.plan.job.seed)

    def _check_study(self) -> None:
        settings, known, own = self.settings, self.study.user_attrs.get("settings"), self.settings["own"]
        if known is None:
            self.study.set_user_attr("settings", settings)
            inside = all(values[0] <= own[name] <= values[-1] for name, values in settings["values"].items())
            if self.plan.sampler == TPE and inside:
                self.study.enqueue_trial(own)  # to compare the others with
        elif known != settings:
            other = ", ".join(key for key in settings if known.get(key) != settings[key])
            raise ConfigurationError(f"{self.folder} holds a search that differs in: {other}", "choose another --out")

    def _take(self, most: int) -> tuple[optuna.trial.Trial, FileLock] | None:
        """A trial that a killed process left, else a new one, with the lock on its folder; None where all are begun."""
        with FileLock(self.folder / CLAIM):
            begun = [one for one in self.study.get_trials(deepcopy=False) if one.state != TrialState.WAITING]
            for left in begun:
                if left.state == TrialState.RUNNING and (claim := _claim(self._place(left.number))) is not None:
                    if self._known(left.number).state == TrialState.RUNNING:  # not ended just now
                        return self._left(left.number), claim
                    claim.release()
            if len(begun) >= most:
                return None
            self.study.sampler = self._sampler(len(begun))
            trial = self.study.ask()
            return trial, _claim(self._place(trial.number))

    def _known(self, number: int) -> optuna.trial.FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _left(self, number: int) -> optuna.trial.Trial:
        """A trial that was begun, to go on with."""
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return optuna.trial.Trial(self.study, self.storage.get_trial_id_from_study_id_trial_number(study, number))

    def _place(self, number: int) -> Path:
        place = self.folder / f"trial-{number}"
        place.mkdir(exist_ok=True)
        return place

    def _made(self, trial: optuna.trial.Trial) -> Trial:
        """The record of a trial, after its training; one that is there already was not told to the journal yet."""
        place, values = self._place(trial.number), self._values(trial)
        if (place / trial_record.FILE).exists():
            return read_trial(place / trial_record.FILE)
        with (place / OUTPUT).open("a") as told, redirect_stdout(told):
            state, reason, steps = self._train(trial, place, values)
        best, plan = _best(place / LOG_FILE), self.plan
        record = Trial(plan.job.lambda_, values, state, steps, best.get("loss"), best.get("bpp"), best.get("psnr_db"),
                       reason, plan.variant, plan.job.metric, self.settings["own"], self.settings["training"],
                       str(place))
        write_trial(place, record)
        return record

    def _values(self, trial: optuna.trial.Trial) -> dict[str, float]:
        return {name: trial.suggest_float(name, min(values), max(values), log=True)
                for name, values in self.plan.values.items()}

    def _train(self, trial: optuna.trial.Trial, place: Path, values: Mapping[str, float]) -> tuple[str, str, int]:
        """Train to the end, or until the trial is given up: state, reason, steps."""
        trainer = Trainer(self.plan.job_with(values), place, self.prepare, Processes(device=self.device))
        try:
            for latest in self._validations(trainer):
                if not math.isfinite(latest["loss"]):
                    raise TrainingDiverged("the loss of held-out images is not finite", trainer.state_path)
                if trainer.step not in self._known(trial.number).intermediate_values:  # by the process before
                    trial.report(latest["loss"], trainer.step)
                if not self._ends(trainer) and trial.should_prune():
                    return PRUNED, f"worse than the median of other trials at step {trainer.step}", trainer.step
        except (TrainingDiverged, LossBelowMinimum) as error:
            return FAILED, str(error).splitlines()[0], trainer.step
        finally:
            trainer.lock.release()
        return COMPLETE, "", trainer.step

    def _validations(self, trainer: Trainer) -> Iterator[Mapping[str, Any]]:
        """Train on, from validation to validation; the one that a state holds comes first."""
        every = self.plan.validate_every
        if trainer.latest:
            yield trainer.latest
        while not self._ends(trainer):
            yield trainer.run(self.images.training, self.images.held_out, self.workers, save_every=every,
                              until=(trainer.step // every + 1) * every)

    @staticmethod
    def _ends(trainer: Trainer) -> bool:
        return trainer.step >= trainer.recipe.steps or trainer.stopping.stopped


def _best(log: Path) -> dict[str, Any]:
    """The validation of the lowest loss in a log; empty without one."""
    lines = read_log(log) if log.exists() else ()
    found = [line for line in lines if line["kind"] == "validation" and line["loss"] is not None]
    return min(found, key=lambda line: line["loss"], default={})


def _claim(place: Path) -> FileLock | None:
    """Keep a trial for this process until what is returned is released; None where another has it."""
    try:
        return lock_folder(place, "trains", CLAIM)
    except FolderInUse:
        return None

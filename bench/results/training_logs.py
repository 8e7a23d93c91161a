"""Logs of trainings, ``results/training/<variant>/<λ>.jsonl``, read back as typed data; without torch.

A fine-tuning has the log of the training before it beside its own: ``<λ>.before.jsonl``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bench.common.errors import ConfigurationError
from bench.training.recipes import Recipe

TRAINING = "training"  # folder within those of results and of reports
BEFORE = ".before"


@dataclass(frozen=True)
class LoggedJob:
    """What was trained, and from where.

    Attributes:
        lambda_: weight of distortion.
        recipe: how; values that the log leaves out are the usual ones.
        start: where the weights came from; empty where the log doesn't say.
        images: training images.
    """

    model: str
    lambda_: float
    recipe: Recipe
    metric: str
    seed: int
    start: str
    images: int


@dataclass(frozen=True)
class Step:
    """A logged step, counted from 1. Task figures are empty unless tasks were balanced.

    Attributes:
        elapsed_s: seconds of training up to here.
        skipped: steps left out so far as their gradient was not finite.
        weights: weight of each task, after the step.
        gammas: regulariser of each task's logit.
        tasks: loss of each task on the same batch after the step.
    """

    step: int
    elapsed_s: float
    skipped: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    gammas: Mapping[str, float] = field(default_factory=dict)
    tasks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """Means over the held-out images after a step; NaN where the log has no number.

    Attributes:
        loss: λ·255²·MSE + bpp, or λ·(1 - MS-SSIM) + bpp.
        psnr_db: of the output, neither clamped nor rounded.
    """

    step: int
    loss: float
    bpp: float
    psnr_db: float


@dataclass(frozen=True)
class TrainingLog:
    """One log."""

    job: LoggedJob
    steps: tuple[Step, ...] = ()
    validations: tuple[Validation, ...] = ()

    @property
    def last_step(self) -> int:
        """How far the log goes, in steps."""
        return max((one.step for one in (*self.steps, *self.validations)), default=0)


@dataclass(frozen=True)
class Training:
    """A variant's training at one λ: one log, or two where a training came before a fine-tuning.

    Attributes:
        variant: name of the logs' folder.
        parts: logs in the order of training; the last one gave the weights.
    """

    variant: str
    parts: tuple[TrainingLog, ...]

    @property
    def job(self) -> LoggedJob:
        """The job that gave the weights."""
        return self.parts[-1].job

    @property
    def lambda_(self) -> float:
        """Weight of distortion."""
        return self.job.lambda_

    @property
    def steps_done(self) -> int:
        """Steps of all parts."""
        return sum(part.last_step for part in self.parts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Logged steps of all parts; those of a later part count on from the one before."""
        return tuple(replace(one, step=one.step + offset) for offset, part in self._from() for one in part.steps)

    @property
    def validations(self) -> tuple[Validation, ...]:
        """Validations of all parts, counted like :attr:`steps`."""
        return tuple(replace(one, step=one.step + offset) for offset, part in self._from() for one in part.validations)

    def _from(self) -> Iterator[tuple[int, TrainingLog]]:
        offset = 0
        for part in self.parts:
            yield offset, part
            offset += part.last_step


def read_trainings(results_dir: Path) -> list[Training]:
    """Return the trainings logged under ``results_dir/training``, by variant and rising λ; none without that folder.

    Raises:
        ConfigurationError: a log is damaged.
    """
    logs = {path: log for path in sorted((Path(results_dir) / TRAINING).glob("*/*.jsonl")) if (log := read_log(path))}
    trainings = []
    for path, log in logs.items():
        if path.stem.endswith(BEFORE):
            continue
        before = logs.get(path.with_name(f"{path.stem}{BEFORE}.jsonl"))
        trainings.append(Training(path.parent.name, (before, log) if before else (log,)))
    return sorted(trainings, key=lambda one: (one.variant, one.lambda_))


def read_log(path: Path) -> TrainingLog | None:
    """Return one log, or None where it holds no whole line yet.

    A torn last line, as a kill leaves it, is passed over, and so are lines of an unknown kind.

    Raises:
        ConfigurationError: a line in the middle is damaged, or the first one is no recipe.
    """
    lines = list(_lines(path))
    if not lines:
        return None
    if lines[0].get("kind") != "recipe":
        raise ConfigurationError(f"{path} does not start with a recipe", "copy the log of the training anew")
    try:
        job = _job(lines[0])
        steps = tuple(_step(line) for line in lines if line["kind"] == "step")
        validations = tuple(_validation(line) for line in lines if line["kind"] == "validation")
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{path} is no log of a training: {error!r}",
                                 "copy the log of the training anew") from None
    return TrainingLog(job, steps, validations)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            if number == len(texts):
                return
            raise ConfigurationError(f"{path}: line {number} is damaged", "copy the log of the training anew") from None
        if isinstance(line, dict) and "kind" in line:
            yield line


def _job(line: Mapping[str, Any]) -> LoggedJob:
    job, known = line["job"], {entry.name for entry in fields(Recipe)}
    recipe = Recipe().with_(**{key: value for key, value in job["recipe"].items() if key in known})
    return LoggedJob(job["model"], float(job["lambda_"]), recipe, job["metric"], job["seed"],
                     line.get("origin", {}).get("start", ""), line["images"])


def _step(line: Mapping[str, Any]) -> Step:
    return Step(line["step"], _number(line["elapsed_s"]), line.get("skipped", 0),
                *({task: _number(value) for task, value in line.get(key, {}).items()}
                  for key in ("weights", "gammas", "tasks")))


def _validation(line: Mapping[str, Any]) -> Validation:
    return Validation(line["step"], *(_number(line[key]) for key in ("loss", "bpp", "psnr_db")))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

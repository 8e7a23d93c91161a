"""Logs of trainings, ``<λ>.jsonl``, read through a schema: one JSON object a line; without torch.

Installed logs are ``results/training/<variant>/<λ>.jsonl``. A fine-tuning has the log of the training before it beside
its own: ``<λ>.before.jsonl``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.common.errors import BenchError
from bench.common.files import match_files
from bench.results.schema import Count, Duration, Number, Positive, convert_values, parse_object
from bench.results.store import read_lines

TRAINING = "training"  # folder within those of results and of reports
BEFORE = ".before"

if TYPE_CHECKING:
    Logged = float
else:
    Logged = Number | None  # null in the log is NaN here


class LoggedRecipe(msgspec.Struct, frozen=True):
    """How it was trained; logs leave out what is usual."""

    name: str = "standard"
    batch: Count = 32
    crop: Count = 256
    learning_rate: Positive = 1e-4
    modulation: tuple[Number, ...] = ()


class LoggedJob(msgspec.Struct, frozen=True):
    """What was trained.

    Attributes:
        lambda_: weight of distortion.
        start: where the weights came from; empty where the log doesn't say.
        images: training images.
    """

    model: str
    lambda_: Positive
    recipe: LoggedRecipe
    metric: str
    seed: Count
    start: str = ""
    images: Count = 0


class LoggedBeginning(msgspec.Struct, frozen=True, tag_field="kind", tag="recipe"):
    """The first line of a log."""

    job: LoggedJob
    images: Count
    origin: dict[str, str | bool] = {}
    step: Count = 0


class LoggedStep(msgspec.Struct, frozen=True, tag_field="kind", tag="step"):
    """A logged step, counted from 1. Task figures are empty unless tasks were balanced.

    Attributes:
        elapsed_s: seconds of training up to here.
        skipped: steps left out so far as their gradient was not finite.
        weights: weight of each task, after the step.
        gammas: regulariser of each task's logit.
        tasks: loss of each task on the same batch after the step.
    """

    step: Count
    elapsed_s: Duration
    skipped: Count = 0
    weights: dict[str, Logged] = {}
    gammas: dict[str, Logged] = {}
    tasks: dict[str, Logged] = {}

    def __post_init__(self) -> None:
        for name in ("weights", "gammas", "tasks"):
            figures = {task: math.nan if value is None else value for task, value in getattr(self, name).items()}
            msgspec.structs.force_setattr(self, name, figures)


class Validation(msgspec.Struct, frozen=True, tag_field="kind", tag="validation"):
    """Means over the held-out images after a step; NaN where the log has no number.

    Attributes:
        loss: λ·255²·MSE + bpp, or λ·(1 - MS-SSIM) + bpp.
        psnr_db: of the output, neither clamped nor rounded.
    """

    step: Count
    loss: Logged
    bpp: Logged
    psnr_db: Logged

    def __post_init__(self) -> None:
        for name in ("loss", "bpp", "psnr_db"):
            if getattr(self, name) is None:
                msgspec.structs.force_setattr(self, name, math.nan)


LogLine = LoggedBeginning | LoggedStep | Validation
KINDS: dict[Any, type[LogLine]] = {"recipe": LoggedBeginning, "step": LoggedStep, "validation": Validation}


@dataclass(frozen=True)
class TrainingLog:
    """One log."""

    job: LoggedJob
    steps: tuple[LoggedStep, ...] = ()
    validations: tuple[Validation, ...] = ()

    @property
    def last_step(self) -> int:
        """How far the log goes, in steps."""
        return max([*(line.step for line in self.steps), *(line.step for line in self.validations)], default=0)


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
    def steps(self) -> tuple[LoggedStep, ...]:
        """Logged steps of all parts; those of a later part count on from the one before."""
        return tuple(msgspec.structs.replace(step, step=step.step + offset)
                     for offset, part in self._parts_from() for step in part.steps)

    @property
    def validations(self) -> tuple[Validation, ...]:
        """Validations of all parts, counted like :attr:`steps`."""
        return tuple(msgspec.structs.replace(validation, step=validation.step + offset)
                     for offset, part in self._parts_from() for validation in part.validations)

    def _parts_from(self) -> Iterator[tuple[int, TrainingLog]]:
        offset = 0
        for part in self.parts:
            yield offset, part
            offset += part.last_step


def read_trainings(results_dir: Path) -> list[Training]:
    """Return the trainings logged under ``results_dir/training``, by variant and rising λ; none without that folder.

    Args:
        results_dir: folder of results.

    Raises:
        BenchError: a log is damaged.
    """
    logs = {path: log for path in match_files(Path(results_dir) / TRAINING, "*/*.jsonl") if (log := read_log(path))}
    trainings = []
    for path, log in logs.items():
        if path.stem.endswith(BEFORE):
            continue
        before = logs.get(path.with_name(f"{path.stem}{BEFORE}.jsonl"))
        trainings.append(Training(path.parent.name, (before, log) if before else (log,)))
    return sorted(trainings, key=lambda training: (training.variant, training.lambda_))


def read_log(path: Path) -> TrainingLog | None:
    """Return one log, or None where it holds no whole line yet.

    Raises:
        BenchError: a line is damaged, or the first one is no recipe.
    """
    lines = [line for _, line in read_log_lines(path)]
    if not lines:
        return None
    first = lines[0]
    if not isinstance(first, LoggedBeginning):
        raise BenchError(f"{path}, line 1: the log does not start with a recipe", "copy the log of the training anew")
    job = msgspec.structs.replace(first.job, start=str(first.origin.get("start", "")), images=first.images)
    return TrainingLog(job, tuple(line for line in lines if isinstance(line, LoggedStep)),
                       tuple(line for line in lines if isinstance(line, Validation)))


def read_log_lines(path: Path) -> list[tuple[str, LogLine]]:
    """Return the lines of a log, as they stand there and read; those of an unknown kind are passed over.

    Raises:
        BenchError: a line has not the schema of its kind; the message names file, line and field.
    """
    lines = read_lines(path, _parse_line, "copy the log of the training anew, or take the line out")
    return [line for line in lines if line is not None]


def _parse_line(line: bytes) -> tuple[str, LogLine] | None:
    values = parse_object(line)
    kind = KINDS.get(str(values.get("kind")))
    return None if kind is None else (line.decode(), convert_values(values, kind))

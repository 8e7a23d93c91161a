"""Tables of a training report: every training, the noise between seeds, and what variants differ by."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from bench.metrics.statistics.noise import RunNoise, run_noise
from bench.reports.page.table import Column, Table
from bench.results.labels import BASE_MINIATURE, SEED_MINIATURES
from bench.results.training_logs import LoggedStep, Training, Validation

HELD_OUT_NOTE = (
    "Held out: means over images that no training sees, symbols rounded, no noise; loss is λ·255²·MSE + bpp (for "
    "MS-SSIM λ·(1 − MS-SSIM) + bpp) whatever was optimised; bpp from likelihoods; PSNR of the output before it is "
    "clamped and rounded. They are no figures of an evaluation set."
)
Outcome = Callable[[Training], Validation | None]


def format_lambda(lambda_: float) -> str:
    """λ as tables, plots and file names write it."""
    return f"{lambda_:g}"


def last_validation(training: Training) -> Validation | None:
    """The latest validation, or None where its loss is unknown or there was none."""
    last = training.validations[-1:]
    return last[0] if last and math.isfinite(last[0].loss) else None


def best_validation(training: Training) -> Validation | None:
    """The validation with the lowest loss; None where no loss is known."""
    known = [one for one in training.validations if math.isfinite(one.loss)]
    return min(known, key=lambda one: one.loss, default=None)


def trainings_table(trainings: Sequence[Training]) -> Table:
    """How each training was made and where it ended."""
    columns: list[Column[Training]] = [
        Column("variant", "Variant", of=attrgetter("variant")),
        Column("lambda", "λ", of=lambda one: format_lambda(one.lambda_)),
        Column("recipe", "Recipe", of=lambda one: ", then ".join(part.job.recipe.name for part in one.parts)),
        Column("seed", "Seed", digits=0, of=attrgetter("job.seed")),
        Column("steps", "Steps", digits=0, of=attrgetter("steps_done")),
        Column("batch", "Batch", digits=0, of=attrgetter("job.recipe.batch")),
        Column("crop_px", "Crop", "px", digits=0, of=attrgetter("job.recipe.crop")),
        Column("learning_rate", "Learning rate", detail=True,
               of=lambda one: ", then ".join(f"{part.job.recipe.learning_rate:g}" for part in one.parts)),
        Column("start", "Start", detail=True, of=lambda one: one.parts[0].job.start or None),
        Column("minutes", "Minutes", digits=1, of=_minutes),
        Column("skipped_steps", "Skipped steps", digits=0, of=lambda one: sum(end.skipped for end in _last_steps(one))),
        *_outcome_columns("", "at the end", last_validation),
        *(replace(column, detail=True) for column in _outcome_columns("best_", "best", best_validation)),
    ]
    notes = (HELD_OUT_NOTE, "Minutes are of wall-clock time with whatever else the machine did: no benchmark. Skipped: "
             "steps left out as their gradient was not finite. \"Then\": a training and the fine-tuning after it.")
    return Table.from_records("trainings", "Every training", columns, trainings, notes=notes)


def _last_steps(training: Training) -> list[LoggedStep]:
    return [part.steps[-1] for part in training.parts if part.steps]


def _minutes(training: Training) -> float | None:
    ends = _last_steps(training)
    return sum(end.elapsed_s for end in ends) / 60 if ends else None


def _outcome_columns(prefix: str, words: str, outcome: Outcome) -> list[Column[Training]]:
    return [Column(f"{prefix}held_out_loss", f"Loss {words}", digits=4,
                   of=lambda one: getattr(outcome(one), "loss", None)),
            Column(f"{prefix}held_out_bpp", f"Rate {words}", "bpp", digits=4,
                   of=lambda one: getattr(outcome(one), "bpp", None)),
            Column(f"{prefix}held_out_psnr_db", f"PSNR {words}", "dB", digits=2,
                   of=lambda one: getattr(outcome(one), "psnr_db", None))]


def find_seed_noise(trainings: Sequence[Training]) -> dict[float, RunNoise]:
    """Spread of the last held-out loss over the seeds of the baseline, for each λ at which two or more ended alike."""
    found = {}
    for base in [one for one in trainings if one.variant == BASE_MINIATURE]:
        runs = [one for one in trainings if one.lambda_ == base.lambda_ and _is_alike(one, base)
                and (one.variant == BASE_MINIATURE or SEED_MINIATURES.fullmatch(one.variant))]
        losses = [last.loss for last in map(last_validation, runs) if last is not None]
        if len(losses) > 1:
            found[base.lambda_] = run_noise(losses)
    return found


def _is_alike(one: Training, other: Training) -> bool:
    """Whether two trainings saw the same number of crops, alike in size, of as many images, for one metric."""
    plans = [(training.steps_done, training.job.recipe.batch, training.job.recipe.crop, training.job.metric,
              training.job.images) for training in (one, other)]
    return plans[0] == plans[1]


def noise_table(noise: Mapping[float, RunNoise]) -> Table:
    """The noise between runs of the baseline."""
    columns: list[Column[tuple[float, RunNoise]]] = [
        Column("lambda", "λ", of=lambda entry: format_lambda(entry[0])),
        Column("runs", "Runs", digits=0, of=lambda entry: entry[1].runs),
        Column("mean_loss", "Mean loss", digits=4, of=lambda entry: entry[1].mean),
        Column("standard_deviation", "Standard deviation", digits=4, of=lambda entry: entry[1].deviation),
        Column("lowest", "Lowest", digits=4, of=lambda entry: entry[1].low),
        Column("highest", "Highest", digits=4, of=lambda entry: entry[1].high),
        Column("half_width", "Half-width for a difference", digits=4, of=lambda entry: entry[1].half_width),
    ]
    notes = (f"Held-out loss at the end of {BASE_MINIATURE} and of its runs with other seeds, alike in all else.",
             "Half-width: of the 95 % interval of the difference between two single runs, Student's t of one degree of "
             "freedom less than runs, times the root of two, times the standard deviation.")
    return Table.from_records("seed_noise", "Noise between seeds", columns, noise.items(), notes=notes)


@dataclass
class LossDifferences:
    """What a variant's held-out losses at the end differ by from the mean over the seeds of the baseline.

    Attributes:
        by_lambda: the differences where trainings were alike.
        within: every λ whose loss lies within the range of the seeds.
        otherwise: every λ that was trained otherwise than the baseline.
    """

    variant: str
    by_lambda: dict[float, float] = field(default_factory=dict)
    within: list[float] = field(default_factory=list)
    otherwise: list[float] = field(default_factory=list)


def compare_losses(trainings: Sequence[Training], noise: Mapping[float, RunNoise]) -> list[LossDifferences]:
    """Compare each variant with the baseline at every λ of which the noise between seeds is known."""
    bases = {one.lambda_: one for one in trainings if one.variant == BASE_MINIATURE}
    found: dict[str, LossDifferences] = {}
    for training in trainings:
        lambda_, variant = training.lambda_, training.variant
        if variant == BASE_MINIATURE or SEED_MINIATURES.fullmatch(variant) or lambda_ not in noise:
            continue
        differences = found.setdefault(variant, LossDifferences(variant))
        last = last_validation(training)
        if not _is_alike(training, bases[lambda_]):
            differences.otherwise.append(lambda_)
        elif last is not None:
            differences.by_lambda[lambda_] = last.loss - noise[lambda_].mean
            if noise[lambda_].holds(last.loss):
                differences.within.append(lambda_)
    return list(found.values())


def differences_table(trainings: Sequence[Training], noise: Mapping[float, RunNoise]) -> Table:
    """Each variant's held-out loss at the end, less the mean over the seeds of the baseline."""
    columns: list[Column[LossDifferences]] = [
        Column("variant", "Variant", of=attrgetter("variant")),
        *map(_difference_column, noise),
        Column("within_seeds", "Within the range of the seeds at λ", of=lambda one: _join_lambdas(one.within)),
        Column("trained_otherwise", "Trained otherwise at λ", of=lambda one: _join_lambdas(one.otherwise)),
    ]
    notes = ("Loss of the variant less the mean over the seeds, in units of loss: negative is better. What lies within "
             "the range of the seeds says nothing about the variant.",
             "A balanced training lowers other weights of distortion and rate than λ says, so that its loss at equal λ "
             "is no verdict on it: compare its BD-rate.",
             "No difference where a training had other steps, batch, crops, images or metric than the baseline.")
    return Table.from_records("loss_differences", f"Loss against the mean of the seeds of {BASE_MINIATURE}", columns,
                              compare_losses(trainings, noise), notes=notes).without_empty_columns()


def _difference_column(lambda_: float) -> Column[LossDifferences]:
    text = format_lambda(lambda_)
    return Column(f"loss_difference_at_{text}", f"λ {text}", digits=4, signed=True,
                  of=lambda one: one.by_lambda.get(lambda_))


def _join_lambdas(lambdas: Sequence[float]) -> str | None:
    return ", ".join(map(format_lambda, lambdas)) or None

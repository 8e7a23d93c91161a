"""Tables of a training report: every training, the noise between seeds, and what variants differ by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.metrics.statistics.noise import RunNoise, run_noise
from bench.reports.page.table import Cell, Column, Table
from bench.reports.rate.seeds import BASE, SEED
from bench.results.training_logs import Training, Validation

HELD_OUT_NOTE = (
    "Held out: means over images that no training sees, symbols rounded, no noise; loss is λ·255²·MSE + bpp (for "
    "MS-SSIM λ·(1 − MS-SSIM) + bpp) whatever was optimised; bpp from likelihoods; PSNR of the output before it is "
    "clamped and rounded. They are no figures of an evaluation set."
)
VARIANT, LAMBDA = Column("variant", "Variant"), Column("lambda", "λ")


def point(lambda_: float) -> str:
    """λ as tables, plots and file names write it."""
    return f"{lambda_:g}"


def last_validation(training: Training) -> Validation | None:
    """The latest validation, or None where its loss is unknown or there was none."""
    found = training.validations[-1:]
    return found[0] if found and math.isfinite(found[0].loss) else None


def best_validation(training: Training) -> Validation | None:
    """The validation with the lowest loss; None where no loss is known."""
    known = [one for one in training.validations if math.isfinite(one.loss)]
    return min(known, key=lambda one: one.loss, default=None)


def trainings_table(trainings: Sequence[Training]) -> Table:
    """How each training was made and where it ended."""
    columns = (VARIANT, LAMBDA, Column("recipe", "Recipe"), Column("seed", "Seed", digits=0),
               Column("steps", "Steps", digits=0), Column("batch", "Batch", digits=0),
               Column("crop_px", "Crop", "px", digits=0), Column("learning_rate", "Learning rate", detail=True),
               Column("start", "Start", detail=True), Column("minutes", "Minutes", digits=1),
               Column("skipped_steps", "Skipped steps", digits=0), *_outcome_columns("", "at the end"),
               *_outcome_columns("best_", "best"))
    rows = tuple(_training_row(training) for training in trainings)
    notes = (HELD_OUT_NOTE, "Minutes are of wall-clock time with whatever else the machine did: no benchmark. Skipped: "
             "steps left out as their gradient was not finite. \"Then\": a training and the fine-tuning after it.")
    return Table("trainings", "Every training", columns, rows, notes)


def _outcome_columns(prefix: str, words: str) -> tuple[Column, ...]:
    detail = bool(prefix)
    return (Column(f"{prefix}held_out_loss", f"Loss {words}", digits=4, detail=detail),
            Column(f"{prefix}held_out_bpp", f"Rate {words}", "bpp", digits=4, detail=detail),
            Column(f"{prefix}held_out_psnr_db", f"PSNR {words}", "dB", digits=2, detail=detail))


def _training_row(training: Training) -> tuple[Cell, ...]:
    jobs = [part.job for part in training.parts]
    ends = [part.steps[-1] for part in training.parts if part.steps]
    return (training.variant, point(training.lambda_), ", then ".join(job.recipe.name for job in jobs),
            training.job.seed, training.steps_done, training.job.recipe.batch, training.job.recipe.crop,
            ", then ".join(point(job.recipe.learning_rate) for job in jobs), jobs[0].start or None,
            sum(end.elapsed_s for end in ends) / 60 if ends else None, sum(end.skipped for end in ends),
            *_outcome(last_validation(training)), *_outcome(best_validation(training)))


def _outcome(validation: Validation | None) -> tuple[Cell, ...]:
    if validation is None:
        return None, None, None
    return validation.loss, validation.bpp, validation.psnr_db


def seed_noise(trainings: Sequence[Training]) -> dict[float, RunNoise]:
    """Spread of the last held-out loss over the seeds of the baseline, for each λ at which two or more ended alike."""
    found = {}
    for base in trainings:
        if base.variant == BASE:
            losses = [last.loss for one in trainings if one.lambda_ == base.lambda_ and _alike(one, base)
                      and (one.variant == BASE or SEED.fullmatch(one.variant)) and (last := last_validation(one))]
            if len(losses) > 1:
                found[base.lambda_] = run_noise(losses)
    return found


def _alike(one: Training, other: Training) -> bool:
    """Whether two trainings saw the same number of crops, alike in size, of as many images, for one metric."""
    plans = [(training.steps_done, training.job.recipe.batch, training.job.recipe.crop, training.job.metric,
              training.job.images) for training in (one, other)]
    return plans[0] == plans[1]


def noise_table(noise: Mapping[float, RunNoise]) -> Table:
    """The noise between runs of the baseline."""
    columns = (LAMBDA, Column("runs", "Runs", digits=0), Column("mean_loss", "Mean loss", digits=4),
               Column("standard_deviation", "Standard deviation", digits=4), Column("lowest", "Lowest", digits=4),
               Column("highest", "Highest", digits=4), Column("half_width", "Half-width for a difference", digits=4))
    rows = tuple((point(lambda_), one.runs, one.mean, one.deviation, one.low, one.high, one.half_width)
                 for lambda_, one in noise.items())
    notes = (f"Held-out loss at the end of {BASE} and of its runs with other seeds, alike in all else.",
             "Half-width: of the 95 % interval of the difference between two single runs, Student's t of one degree of "
             "freedom less than runs, times the root of two, times the standard deviation.")
    return Table("seed_noise", "Noise between seeds", columns, rows, notes)


def differences_table(trainings: Sequence[Training], noise: Mapping[float, RunNoise]) -> Table:
    """Each variant's held-out loss at the end, less the mean over the seeds of the baseline."""
    bases = {one.lambda_: one for one in trainings if one.variant == BASE}
    by_variant: dict[str, dict[float, Training]] = {}
    for one in trainings:
        if one.variant != BASE and not SEED.fullmatch(one.variant) and one.lambda_ in noise:
            by_variant.setdefault(one.variant, {})[one.lambda_] = one
    columns = (VARIANT, *(Column(f"loss_difference_at_{point(lambda_)}", f"λ {point(lambda_)}", digits=4, signed=True)
                          for lambda_ in noise),
               Column("within_seeds", "Within the range of the seeds at λ"),
               Column("trained_otherwise", "Trained otherwise at λ"))
    rows = tuple(_difference_row(variant, found, bases, noise) for variant, found in by_variant.items())
    notes = ("Loss of the variant less the mean over the seeds, in units of loss: negative is better. What lies within "
             "the range of the seeds says nothing about the variant.",
             "A balanced training lowers other weights of distortion and rate than λ says, so that its loss at equal λ "
             "is no verdict on it: compare its BD-rate.",
             "No difference where a training had other steps, batch, crops, images or metric than the baseline.")
    return Table("loss_differences", f"Loss against the mean of the seeds of {BASE}", columns, rows,
                 notes).without_empty_columns()


def _difference_row(variant: str, found: Mapping[float, Training], bases: Mapping[float, Training],
                    noise: Mapping[float, RunNoise]) -> tuple[Cell, ...]:
    differences: list[float | None] = []
    within, otherwise = [], []
    for lambda_, spread in noise.items():
        training = found.get(lambda_)
        last = last_validation(training) if training else None
        if training and not _alike(training, bases[lambda_]):
            otherwise.append(point(lambda_))
            last = None
        differences.append(last.loss - spread.mean if last else None)
        if last and spread.holds(last.loss):
            within.append(point(lambda_))
    return variant, *differences, ", ".join(within) or None, ", ".join(otherwise) or None

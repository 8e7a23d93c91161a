"""Trains the miniatures of variants.yaml: all with the same images, steps, rates of learning and seeds.

Each is trained at its largest λ from principal components, then at one λ after another from the weights of the one
before. A recipe that is a fine-tuning gets its predecessor's training for three quarters of the steps first, so that
its steps are as many as everyone's.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.common.whole_files import whole
from bench.models.checkpoints import read_note, write_float16
from bench.results.schema import digest
from bench.results.training_logs import BEFORE
from bench.training.job import Job
from bench.training.log import FILE as LOG_FILE
from bench.training.processes import Processes
from bench.training.recipes import FINE_TUNING, RECIPES, Recipe
from bench.training.start.sweep import Images, Prepare, by_lambda, from_principal_components, from_weights
from bench.training.trainer import STATE, Trainer
from bench.variants import Variant

# Most valuable first: the baseline, one of each line, the noise between seeds, the rest in the order of the file.
FIRST = ("hpcm_base_mini", "multiref_phase1_mini", "rwkv_phase1_mini", "weconv_phase1_mini", "balanced_phase1_mini",
         "hpcm_base_seed1_mini", "hpcm_base_seed2_mini")
SHARE_BEFORE = 0.75  # of the steps, that come before a fine-tuning


@dataclass(frozen=True)
class Plan:
    """How all miniatures are trained.

    Attributes:
        first_steps, steps: at the largest λ, and at each other.
        first_rate, rate: learning rates there; they fall along half a cosine to a hundredth.
        fine_tuning_rate: of a recipe that is a fine-tuning.
        weight_rate: learning rate of task weights, where there are any. The published 0.025 is for trainings of a
            thousand times as many steps; in these it would drive weights to where rate alone counts.
        batch, crop, warmup: see :class:`Recipe`.
        validate_every: steps between validations.
    """

    first_steps: int = 480
    steps: int = 240
    first_rate: float = 3e-3
    rate: float = 2e-3
    fine_tuning_rate: float = 5e-4
    weight_rate: float = 2e-3
    batch: int = 2
    crop: int = 256
    warmup: int = 30
    validate_every: int = 60


@dataclass(frozen=True)
class Run:
    """One training of a plan: a variant at one λ.

    Attributes:
        warm: the λ whose weights it starts from, None for the first.
        job: the training that gives the weights.
        before: the training that comes before a fine-tuning.
    """

    variant: Variant
    lambda_: float
    warm: float | None
    job: Job
    before: Job | None = None

    @property
    def point(self) -> str:
        return f"{self.lambda_:g}"

    @property
    def checkpoint(self) -> Path:
        return Path(self.variant.checkpoints) / f"{self.point}.safetensors"

    @property
    def digest(self) -> str:
        """Identifies the training, so that a checkpoint of another plan is made anew."""
        parts = [job.as_plain() for job in (self.before, self.job) if job is not None]
        return digest({"jobs": parts, "warm": self.warm})

    @property
    def steps(self) -> int:
        return self.job.recipe.steps + (self.before.recipe.steps if self.before else 0)


def in_order(variants: dict[str, Variant]) -> list[Variant]:
    """The miniatures among ``variants``, most valuable first."""
    minis = [variant for variant in variants.values() if variant.miniature]
    rank = {name: number for number, name in enumerate(FIRST)}
    return sorted(minis, key=lambda variant: rank.get(variant.name, len(rank)))


def runs_of(variant: Variant, plan: Plan) -> list[Run]:
    """The trainings of one variant, in the order in which they start from each other."""
    return [_run(variant, lambda_, warm, plan) for lambda_, warm in by_lambda(variant.lambdas)]


def _run(variant: Variant, lambda_: float, warm: float | None, plan: Plan) -> Run:
    steps, rate = (plan.first_steps, plan.first_rate) if warm is None else (plan.steps, plan.rate)

    def job(recipe: Recipe, steps: int, rate: float) -> Job:
        recipe = recipe.with_(steps=steps, epochs=0, batch=plan.batch, crop=plan.crop, learning_rate=rate,
                              schedule="cosine", warmup=min(plan.warmup, steps // 10),
                              weight_rate=plan.weight_rate if recipe.tasks != "total" else None)
        return Job(variant.model, lambda_, recipe, variant.options_for(lambda_), variant.metric, variant.seed)

    recipe = RECIPES.get(variant.recipe)
    if variant.recipe not in FINE_TUNING:
        return Run(variant, lambda_, warm, job(recipe, steps, rate))
    first = round(SHARE_BEFORE * steps)
    return Run(variant, lambda_, warm, job(recipe, steps - first, plan.fine_tuning_rate),
               job(RECIPES.get(FINE_TUNING[variant.recipe]), first, rate))


def is_made(run: Run) -> bool:
    """Whether the run's checkpoint is here, made by this very training."""
    return read_record(run.checkpoint).get("digest") == run.digest


def read_record(checkpoint: Path) -> dict[str, Any]:
    """The record of how a checkpoint was made; empty where there is none."""
    return json.loads(read_note(checkpoint).get("record", "{}"))


def make(variant: Variant, plan: Plan, images: Images, folder: Path, logs: Path, workers: int = 0,
         device: str = "cpu") -> Iterator[Run]:
    """Train what is not there yet of one variant; yields each run as it is done.

    Args:
        folder: states and logs of the trainings.
        logs: where logs are copied to when a training is done, by variant and λ.
    """
    for run in runs_of(variant, plan):
        if is_made(run):
            continue
        place = place_of(run, folder)
        start = _start(run, plan, images, folder)
        parts = []
        if run.before is not None:
            parts.append(_train(run.before, place / "before", start, images, plan, workers, device))
            start = from_weights(place / "before" / STATE, "the training before the fine-tuning")
        parts.append(_train(run.job, place, start, images, plan, workers, device))
        _export(run, parts, images, logs)
        yield run


def place_of(run: Run, folder: Path) -> Path:
    """Where a run's state and log are, below ``folder``; those of another plan lie elsewhere."""
    return folder / run.variant.name / f"{run.point}-{run.digest[:8]}"


def _start(run: Run, plan: Plan, images: Images, folder: Path) -> Prepare:
    if run.warm is None:
        return from_principal_components(images, plan.crop, run.lambda_)
    [before] = [other for other in runs_of(run.variant, plan) if other.lambda_ == run.warm]
    state = place_of(before, folder) / STATE
    exported = run.checkpoint.with_name(f"{run.warm:g}.safetensors")
    return from_weights(state if state.exists() else exported, f"λ {run.warm:g}")


def _train(job: Job, folder: Path, start: Prepare, images: Images, plan: Plan, workers: int,
           device: str) -> Trainer:
    given = {"images": images.training.sha256}
    trainer = Trainer(job, folder, start, Processes(device=torch.device(device)), given=given)
    trainer.run(images.training, images.held_out, workers, save_every=plan.validate_every)
    return trainer


def _export(run: Run, parts: list[Trainer], images: Images, logs: Path) -> None:
    """Write the last weights, with the record, and the logs; the log of a part that came before is named so."""
    last = parts[-1]
    record = {
        "digest": run.digest, "variant": run.variant.name, "lambda": run.lambda_, "seed": run.job.seed,
        "recipes": [part.recipe.name for part in parts], "steps": sum(part.step for part in parts),
        "batch": run.job.recipe.batch, "crop": run.job.recipe.crop, "learning_rate": run.job.recipe.learning_rate,
        "start": parts[0].origin.get("start"), "images": len(images.training),
        "images_sha256": images.training.sha256,
        "held_out": last.latest, "minutes": round(sum(part.elapsed_s for part in parts) / 60, 1),
        "torch": torch.__version__, "machine": platform.machine(), "threads": torch.get_num_threads(),
    }
    places = [logs / run.variant.name / f"{run.point}{'' if part is last else BEFORE}.jsonl" for part in parts]
    for part, place in zip(parts, places):
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole(place) as temporary:
            shutil.copyfile(part.folder / LOG_FILE, temporary)
    write_float16(last.model, run.checkpoint, {"kind": "miniature", "record": json.dumps(record, ensure_ascii=False)})

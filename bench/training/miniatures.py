"""Trains the miniatures of variants.yaml: all with the same images, steps, rates of learning and seeds.

Each is trained at its largest λ from principal components, then at one λ after another from the weights of the one
before. A recipe that is a fine-tuning gets its predecessor's training for three quarters of the steps first, so that
its steps are as many as everyone's.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.common.errors import ConfigurationError
from bench.common.hashing import digest_json
from bench.models.checkpoints import read_note
from bench.training.data import Images
from bench.training.installation import install_result
from bench.training.processes import Processes
from bench.training.recipes import FINE_TUNING, RECIPES, Job
from bench.training.start.transfer import Prepare, from_principal_components, from_weights
from bench.training.trainer import STATE, Trainer
from bench.variants import Variant

# Most valuable first: the baseline, one of each line, the noise between seeds, the rest in the order of the file.
FIRST = ("hpcm_base_mini", "multiref_phase1_mini", "rwkv_phase1_mini", "weconv_phase1_mini", "balanced_phase1_mini",
         "hpcm_base_seed1_mini", "hpcm_base_seed2_mini")
SHARE_BEFORE = 0.75  # of the steps, that come before a fine-tuning


@dataclass(frozen=True)
class MiniaturePlan:
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
class MiniatureFolders:
    """Where trainings of miniatures and their results go.

    Attributes:
        runs: states and logs of the trainings.
        logs: where logs are copied to when a training is done, by variant and λ.
        checkpoints: weights, by variant and λ; None: where the variants say.
    """

    runs: Path
    logs: Path
    checkpoints: Path | None = None


@dataclass(frozen=True)
class MiniatureRun:
    """One training of a plan: a variant at one λ.

    Attributes:
        warm: the λ whose weights it starts from, None for the first.
        checkpoint: where the weights go.
        jobs: its trainings, in their order: one, or a fine-tuning and what comes before it.
    """

    variant: Variant
    lambda_: float
    warm: float | None
    checkpoint: Path
    jobs: tuple[Job, ...]

    @property
    def digest(self) -> str:
        """Identifies the training, so that a checkpoint of another plan is made anew."""
        return digest_json({"jobs": [job.as_plain() for job in self.jobs], "warm": self.warm})

    @property
    def steps(self) -> int:
        """Steps of all of its trainings."""
        return sum(job.recipe.steps for job in self.jobs)


def order_miniatures(variants: dict[str, Variant]) -> list[Variant]:
    """The miniatures among ``variants``, most valuable first."""
    minis = [variant for variant in variants.values() if variant.miniature]
    rank = {name: number for number, name in enumerate(FIRST)}
    return sorted(minis, key=lambda variant: rank.get(variant.name, len(rank)))


def plan_runs(variant: Variant, plan: MiniaturePlan, checkpoints: Path | None = None) -> list[MiniatureRun]:
    """The trainings of one variant, in the order in which they start from each other.

    Args:
        checkpoints: folder of all weights; None: where the variant says.
    """
    folder = checkpoints / variant.name if checkpoints is not None else variant.checkpoints
    if not isinstance(folder, Path):
        raise ConfigurationError(f"the miniature {variant.name} names files, not a folder of checkpoints")
    lambdas = sorted(variant.lambdas, reverse=True)  # a model for a high rate holds all that one for a lower rate needs
    return [_plan_run(variant, lambda_, warm, folder, plan) for lambda_, warm in zip(lambdas, [None, *lambdas])]


def _plan_run(variant: Variant, lambda_: float, warm: float | None, folder: Path, plan: MiniaturePlan) -> MiniatureRun:
    steps, rate = (plan.first_steps, plan.first_rate) if warm is None else (plan.steps, plan.rate)

    def make_job(name: str, steps: int, rate: float) -> Job:
        recipe = RECIPES.get(name)
        recipe = recipe.with_(steps=steps, epochs=0, batch=plan.batch, crop=plan.crop, learning_rate=rate,
                              schedule="cosine", warmup=min(plan.warmup, steps // 10),
                              weight_rate=plan.weight_rate if recipe.tasks != "total" else None)
        return Job(variant.model, lambda_, recipe, variant.options_for(lambda_), variant.metric, variant.seed)

    jobs: tuple[Job, ...] = (make_job(variant.recipe, steps, rate),)
    if before := FINE_TUNING.get(variant.recipe):
        first = round(SHARE_BEFORE * steps)
        jobs = (make_job(before, first, rate), make_job(variant.recipe, steps - first, plan.fine_tuning_rate))
    return MiniatureRun(variant, lambda_, warm, folder / f"{lambda_:g}.safetensors", jobs)


def is_made(run: MiniatureRun) -> bool:
    """Whether the run's checkpoint is here, made by this very training."""
    return read_record(run.checkpoint).get("digest") == run.digest


def read_record(checkpoint: Path) -> dict[str, Any]:
    """The record of how a checkpoint was made; empty where there is none."""
    return json.loads(read_note(checkpoint).get("record", "{}"))


def train_miniature(variant: Variant, plan: MiniaturePlan, folders: MiniatureFolders, images: Images,
                    device: str = "cpu") -> Iterator[MiniatureRun]:
    """Train what is not there yet of one variant; yields each run as it is done."""
    warm_state: Path | None = None
    for run in plan_runs(variant, plan, folders.checkpoints):
        # States of another plan lie elsewhere.
        folder = folders.runs / variant.name / f"{run.lambda_:g}-{run.digest[:8]}"
        if not is_made(run):
            start: Prepare = (partial(from_weights, warm_state, f"λ {run.warm:g}") if warm_state is not None
                              else partial(from_principal_components, images, plan.crop, run.lambda_))
            trainers = _train_run(run, plan, folder, start, images, torch.device(device))
            log = folders.logs / variant.name / f"{run.lambda_:g}.jsonl"
            install_result(trainers, run.checkpoint, log, _make_note(run, trainers, images), float16=True)
            yield run
        warm_state = folder / STATE if (folder / STATE).exists() else run.checkpoint


def _train_run(run: MiniatureRun, plan: MiniaturePlan, folder: Path, start: Prepare, images: Images,
               device: torch.device) -> list[Trainer]:
    trainers = []
    for job in run.jobs:
        place = folder if job is run.jobs[-1] else folder / "before"
        trainer = Trainer(job, place, start, Processes(device=device), given={"images": images.training.sha256})
        trainer.run(images.training, images.held_out, save_every=plan.validate_every)
        trainers.append(trainer)
        start = partial(from_weights, trainer.state_path, "the training before the fine-tuning")
    return trainers


def _make_note(run: MiniatureRun, trainers: list[Trainer], images: Images) -> dict[str, str]:
    """The record of the making of a miniature, for the metadata of its checkpoint."""
    job = run.jobs[-1]
    recipe = job.recipe
    record = {
        "digest": run.digest, "variant": run.variant.name, "lambda": run.lambda_, "seed": job.seed,
        "recipes": [trainer.recipe.name for trainer in trainers], "steps": sum(trainer.step for trainer in trainers),
        "batch": recipe.batch, "crop": recipe.crop, "learning_rate": recipe.learning_rate,
        "start": trainers[0].origin.get("start"), "images": len(images.training),
        "images_sha256": images.training.sha256, "held_out": trainers[-1].latest,
        "minutes": round(sum(trainer.elapsed_s for trainer in trainers) / 60, 1),
        "torch": torch.__version__, "machine": platform.machine(), "threads": torch.get_num_threads(),
    }
    return {"kind": "miniature", "record": json.dumps(record, ensure_ascii=False)}

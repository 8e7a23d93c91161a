"""Puts the result of a training where the suite finds it: weights with a record of their making, and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.common.files import write_whole
from bench.common.hashing import digest_json
from bench.models.checkpoints import load_weights, read_note, read_weights, write_float16, write_weights
from bench.results.training_logs import BEFORE, TRAINING
from bench.training.state import LOG_NAME
from bench.training.trainer import BEST, STATE, Trainer
from bench.variants import Variant


def install_result(trainers: Sequence[Trainer], checkpoint: Path, log: Path, note: Mapping[str, str],
                   float16: bool = False) -> None:
    """Install the weights of the last of ``trainers``, whose trainings followed each other, with all of their logs.

    Args:
        checkpoint: the safetensors file that the weights go to.
        log: where the log goes; those of earlier trainings lie beside it.
        note: record of how the weights were made, into the file's metadata.
        float16: halve the size of the file.
    """
    for trainer in trainers:
        place = log if trainer is trainers[-1] else log.with_name(f"{log.stem}{BEFORE}.jsonl")
        write_whole(place, (trainer.folder / LOG_NAME).read_bytes())

    write = write_float16 if float16 else write_weights
    write(trainers[-1].model, checkpoint, dict(note))


def install_best_weights(trainer: Trainer, variant: Variant, results: Path) -> str:
    """Install a training's best weights at the variant's checkpoints, and its log below ``results``; says what it did.

    A checkpoint that another training made, or nobody knows who, is left alone.
    """
    point, place = f"{trainer.job.lambda_:g}", variant.checkpoints
    checkpoint = place / f"{point}.safetensors" if isinstance(place, Path) else place.get(trainer.job.lambda_)
    best = trainer.folder / BEST
    if not best.is_file():  # nothing was held out
        best = trainer.folder / STATE
    if checkpoint is None or checkpoint.suffix != ".safetensors":
        return f"the weights are in {best}; {variant.name} names no safetensors file for λ {point}"
    made_by = digest_json(trainer.job.as_plain())
    if checkpoint.exists() and read_note(checkpoint).get("training") != made_by:
        return f"the weights are in {best}; {checkpoint} is another training's and was left alone"

    load_weights(trainer.model, read_weights(best), str(best))
    note = {"training": made_by, "variant": variant.name, "lambda": point, "recipe": trainer.recipe.name,
            "steps": str(trainer.step)}
    install_result([trainer], checkpoint, results / TRAINING / variant.name / f"{point}.jsonl", note)
    return f"wrote {checkpoint}"

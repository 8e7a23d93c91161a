"""Shows the models known here and the checkpoints found for them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from bench.codecs.learned import load_learned
from bench.common.errors import EXIT_DONE, CheckpointError, ConfigurationError
from bench.common.text import list_names, suggest_name
from bench.variants import Checkpoint, Variant, find_checkpoints

if TYPE_CHECKING:
    from torch import nn


def run(args: argparse.Namespace) -> int:
    """Print the table or the details; return the exit status."""
    variants = load_learned(args.file)
    for name in args.names:
        if name not in variants:
            raise ConfigurationError(f"there is no variant '{name}'", suggest_name(name, variants))
    if args.fetch:
        from bench.models.zoo_weights import fetch_weights

        if not args.names:
            raise ConfigurationError("--fetch needs the names of the variants",
                                     "such as: variants mbt2018_mean --fetch")
        for name in args.names:
            fetch_weights(variants[name])
    if args.names:
        print("\n\n".join(_describe_variant(variants[name]) for name in args.names))
    else:
        from bench.operators.rans import CODER

        rows = [_summarise(variant) for variant in variants.values()]
        widths = [38 if key == "changes" else None for key in rows[0]]
        print(tabulate(rows, headers="keys", maxcolwidths=widths, disable_numparse=True))
        print("\nCheckpoints go to checkpoints/<variant>/<λ>.pth.tar, .pth, .pt or .safetensors,"
              " or where variants.yaml says.")
        print(f"Operators: Bi-WKV. The entropy coder of all but LALIC and CompressAI's models: {CODER.status().label}.")
    return EXIT_DONE


def _summarise(variant: Variant, brief: bool = True) -> dict[str, object]:
    models = _build_models(variant)
    found = find_checkpoints(variant)
    counts = sorted({sum(parameter.numel() for parameter in model.parameters()) for model in models})
    against = f"against {variant.after}: " if variant.after else ""
    return {
        "line": variant.line,
        "phase": variant.phase or "",
        "variant": variant.name,
        "changes": against + variant.changes,
        "parameters": "\n".join(f"{count:,}" for count in counts),
        "padding": models[0].padding_multiple,
        "checkpoints": f"{sum(checkpoint.path is not None for checkpoint in found)} of {len(found)}",
        "operators": _describe_operators(models[0], brief),
    }


def _build_models(variant: Variant) -> list[nn.Module]:
    """Build the variant with the options of each of its λ, those that differ once, without memory where that works."""
    wanted = [variant.options_for(lambda_) for lambda_ in variant.lambdas]
    return [_build_model(variant, options) for number, options in enumerate(wanted) if options not in wanted[:number]]


def _build_model(variant: Variant, options: dict[str, object]) -> nn.Module:
    from bench.models import create_skeleton

    try:
        return create_skeleton(variant.model, **options)
    except ConfigurationError as error:
        raise ConfigurationError(f"{variant.where}: variant '{variant.name}': {error}") from None


def _describe_operators(model: nn.Module, brief: bool) -> str:
    """How the operators that a model runs are computed here, by default; builds none of them."""
    from bench.operators import status
    from bench.runners.machine import resolve_device

    names = getattr(model, "native_operators", ())
    if not names:
        return "-"
    found = status(resolve_device("auto"))
    if brief:
        return "native" if found.native else "plain"
    return f"{', '.join(names)}: {found.label}"


def _describe_variant(variant: Variant) -> str:
    lines = [f"{variant.name}: {variant.label}" + (" (miniature)" if variant.miniature else "")]
    summary = _summarise(variant, brief=False)
    shown = {key: str(value).replace("\n", " or ") for key, value in summary.items() if key != "variant"}
    lines += [f"  {key}: {value}" for key, value in shown.items() if value]
    lines += [f"  model: {variant.model}", f"  trained for: {variant.metric}"]
    lines += [f"  options: {dict(variant.options) or 'its own'}"]
    return "\n".join([*lines, *(_describe_place(variant, checkpoint) for checkpoint in find_checkpoints(variant))])


def _describe_place(variant: Variant, checkpoint: Checkpoint) -> str:
    more = variant.options_at.get(checkpoint.lambda_)
    point = f"  λ {checkpoint.point}" + (f" {dict(more)}" if more else "")
    if checkpoint.path:
        fit = _describe_fit(variant, checkpoint.lambda_, checkpoint.path)
        others = list_names(path.name for path in checkpoint.others)
        also = f"; of the same λ and not taken: {others}" if others else ""
        return f"{point}: {os.path.relpath(checkpoint.path)}, {fit}{also}"
    places = ", ".join(map(os.path.relpath, checkpoint.looked_in))
    return f"{point}: missing, looked for {places}"


def _describe_fit(variant: Variant, lambda_: float, path: Path) -> str:
    """Load a checkpoint and say what was done to make it fit, or why it does not."""
    from bench.models import create_model
    from bench.models.checkpoints import load_weights, read_weights

    model = create_model(variant.model, **variant.options_for(lambda_))
    try:
        report = load_weights(model, read_weights(path), path.name)
    except CheckpointError as error:
        return f"can't be used: {error}"
    told = {
        "not in the file, filled with its constant": report.filled,
        "in the file, but rebuilt": report.ignored,
        "in the file, but counts without effect": report.counters,
        "in the file, but of training alone": report.training,
        "beside the weights that are taken, a moving average that is not": report.averages,
    }
    return "; ".join(["fits", *(f"{what}: {list_names(names)}" for what, names in told.items() if names)])

"""Show the models known here, what each changes, and the checkpoints found for it.

Examples:
  python -m bench variants              every variant of variants.yaml
  python -m bench variants hpcm_base    one of them: every place that was looked in, and whether the
                                        checkpoints found fit the model
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tabulate import tabulate

from bench.errors import EXIT_DONE, CheckpointError, ConfigurationError
from bench.variants import Checkpoint, Variant, find_checkpoints, load_variants


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="VARIANT",
                        help="variants to show in detail (default: all, briefly)")
    parser.add_argument("--file", type=Path, help="another variants.yaml")


def run(args: argparse.Namespace) -> int:
    variants = load_variants(args.file)
    if unknown := [name for name in args.names if name not in variants]:
        raise ConfigurationError(f"no variant {', '.join(unknown)}", f"known: {', '.join(variants)}")
    if args.names:
        print("\n\n".join(_details(variants[name]) for name in args.names))
    else:
        print(tabulate([_summary(variant) for variant in variants.values()], headers="keys"))
        print("\nCheckpoints go to checkpoints/<variant>/<λ>.pth.tar, .pth, .pt or .safetensors,"
              " or where variants.yaml says.")
    return EXIT_DONE


def _summary(variant: Variant) -> dict[str, object]:
    model = _model(variant)
    found = find_checkpoints(variant)
    here = [checkpoint.point for checkpoint in found if checkpoint.path]
    return {
        "variant": variant.name,
        "line": variant.line,
        "changes": variant.changes,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "padding": model.padding_multiple,
        "checkpoints": f"{len(here)} of {len(found)}" + (f" (λ {', '.join(here)})" if here else ""),
    }


def _model(variant: Variant):
    """Build the variant without memory for its weights."""
    import torch

    from bench.models import create

    with torch.device("meta"):
        return create(variant.model, **variant.options)


def _details(variant: Variant) -> str:
    summary = _summary(variant)
    lines = [f"{variant.name}: {variant.label}" + (" (miniature)" if variant.miniature else "")]
    lines += [f"  {key}: {value}" for key, value in summary.items() if key != "variant"]
    options = dict(variant.options) or "the model's own"
    lines += [f"  trained for: {variant.metric}", f"  options: {options}"]
    return "\n".join([*lines, *(_place(variant, checkpoint) for checkpoint in find_checkpoints(variant))])


def _place(variant: Variant, checkpoint: Checkpoint) -> str:
    if checkpoint.path:
        return f"  λ {checkpoint.point}: {_shown(checkpoint.path)}, {_fit(variant, checkpoint.path)}"
    places = ", ".join(map(_shown, checkpoint.looked_in))
    return f"  λ {checkpoint.point}: missing, looked for {places}"


def _fit(variant: Variant, path: Path) -> str:
    """Load a checkpoint and say what was done to make it fit, or why it does not."""
    from bench.models import create
    from bench.models.checkpoints import load_weights, read_weights

    try:
        report = load_weights(create(variant.model, **variant.options), read_weights(path), path.name)
    except CheckpointError as error:
        return f"can't be used: {error}"
    done = [f"not in the file, filled with its constant: {', '.join(report.filled)}"] if report.filled else []
    done += [f"in the file, but rebuilt: {', '.join(report.ignored)}"] if report.ignored else []
    return "; ".join(["fits", *done])


def _shown(path: Path) -> str:
    return os.path.relpath(path)

"""Computes quality metrics of decoded pictures or kept files."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from bench.commands.evaluate import make_template
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.files import write_whole, writing
from bench.common.text import escape_formula
from bench.datasets import read_rgb8, resolve_dataset
from bench.datasets.dataset import list_images
from bench.metrics.quality import METRICS, measure_quality
from bench.results.store import Store
from bench.runners.evaluate.engine import Units, run_units
from bench.runners.evaluate.own_sets import name_apart
from bench.runners.evaluate.plan import EvaluationPlan, make_plan
from bench.runners.evaluate.selection import choose_codecs
from bench.runners.evaluate.summary import list_failures
from bench.runners.evaluate.unit import Unit, stream_folder, stream_path
from bench.runners.machine import resolve_device


def run(args: argparse.Namespace) -> int:
    """Score two folders, or the kept files of stored rows."""
    resolve_device(args.device)  # a wish for a GPU that is not here is refused, whatever is scored
    if args.dataset and args.streams and not args.folders:
        if not args.streams.is_dir():
            raise ConfigurationError(f"there is no folder {args.streams}", "name that of `evaluate --keep-streams`")
        return _score_streams(args, args.metrics)
    if len(args.folders) == 2 and not (args.dataset or args.streams):
        return _score_folders(args.folders, args.metrics, args.csv)
    raise ConfigurationError("score takes two folders, or --dataset with --streams",
                             "python -m bench score originals/ decoded/")


def _score_folders(folders: list[Path], metrics: tuple[str, ...], csv_path: Path | None) -> int:
    import pandas as pd

    pairs = _pair_images(*folders)
    found = {}
    for name, (first, second) in pairs.items():
        pixels, others = read_rgb8(first), read_rgb8(second)
        if pixels.shape != others.shape:
            raise ConfigurationError(f"{first.name} is {pixels.shape[1]}x{pixels.shape[0]}, {second} is "
                                     f"{others.shape[1]}x{others.shape[0]}", "score needs pictures of one size")
        found[name] = measure_quality(pixels, others, metrics)

    scales = {name: METRICS.get(name).scale for name in metrics}
    images = pd.Index([escape_formula(name) for name in found], name="image")
    frame = pd.DataFrame([quality.values for quality in found.values()], images, list(metrics))
    if csv_path is not None:
        with writing(csv_path):
            write_whole(csv_path, frame.rename(columns={name: scale.column for name, scale in scales.items()}).to_csv())

    frame.loc["mean"] = frame.mean()
    shown = frame.astype(object).where(frame.notna(), None)  # type: ignore[call-overload]
    print(tabulate(shown, missingval="N/A", numalign="right",
                   headers=("image", *(scale.axis_label for scale in scales.values())), disable_numparse=[0],
                   floatfmt=("", *(f".{scale.digits}f" for scale in scales.values()))))
    for image, quality in found.items():
        for name, reason in quality.missing.items():
            print(f"{image}: no {METRICS.get(name).label}: {reason}")
    return EXIT_INCOMPLETE if any(quality.missing for quality in found.values()) else EXIT_DONE


def _pair_images(originals: Path, decoded: Path) -> dict[str, tuple[Path, Path]]:
    """Return pairs by file name without suffix.

    Raises:
        ConfigurationError: a picture has no counterpart, or a name stands twice.
    """
    sides = []
    for folder in (originals, decoded):
        images: dict[str, Path] = {}
        for path in list_images(folder):
            if path.stem in images:
                raise ConfigurationError(f"{folder} holds {images[path.stem].name} and {path.name}",
                                         "pictures are paired by name without suffix")
            images[path.stem] = path
        sides.append(images)

    alone = sorted(sides[0].keys() ^ sides[1].keys())
    if alone or not sides[0]:
        raise ConfigurationError(f"without a counterpart: {', '.join(alone[:5]) or 'everything'}",
                                 f"{originals} and {decoded} must hold the same names")
    return {name: (path, sides[1][name]) for name, path in sides[0].items()}


def _score_streams(args: argparse.Namespace, metrics: tuple[str, ...]) -> int:
    store = Store(args.results)
    dataset = name_apart(resolve_dataset(args.dataset, allow_partial=True), store)
    chosen = choose_codecs(args.codecs)
    template = make_template(args, dataset, chosen.specs, keep_streams=str(args.streams))
    plan = make_plan(dataset, chosen.specs, (), store, template)

    units, lacking = _units_of_streams(plan, args.streams)
    scored, failed = 0, []
    with closing(run_units(Units(units), jobs=1)) as rows:
        for unit, row, _ in rows:
            if row.key == unit.stored[row.image].key and not row.lacks(metrics):
                store.append(row)
                scored += 1
            else:
                failed.append(row)
    print(f"{scored} rows gained {', '.join(metrics)}; {lacking} stored rows lack one and have no kept file")
    if failed:
        print(f"{len(failed)} kept files do not decode to the picture that was measured",
              *list_failures(failed), sep="\n", file=sys.stderr)
    return EXIT_INCOMPLETE if lacking or failed else EXIT_DONE


def _units_of_streams(plan: EvaluationPlan, streams: Path) -> tuple[list[Unit], int]:
    """Return the units left to the images whose rows lack a metric and whose file was kept, and how many have none."""
    units, lacking = [], 0
    for planned in plan.pending:
        unit = planned.unit
        stored = [image for image in unit.images if image.name in unit.stored]
        folder = stream_folder(unit, streams)
        kept = tuple(image for image in stored if stream_path(folder, image).is_file())
        lacking += len(stored) - len(kept)
        if kept:
            units.append(replace(unit, images=kept, only_kept=True))
    return units, lacking

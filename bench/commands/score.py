"""Compute quality metrics of decoded pictures, without coding anything.

  python -m bench score originals/ decoded/ --metrics psnr,ms-ssim    pairs of pictures by file name
  python -m bench score --dataset kodak --streams kept/ --codecs jpeg  what stored rows lack, from kept files

Two folders are paired by file name without its suffix. Kept files are those of `evaluate --keep-streams`; a file counts
only if it decodes to the very picture that the row was measured on, and the row then gains the metrics it lacks.

Exit status: 0 done, 1 something has no value or no kept file, 2 bad input.
"""

from __future__ import annotations

import argparse
import csv
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from tabulate import tabulate

from bench.codecs.base import CODECS, CodecSpec
from bench.commands.arguments import names
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.folders import default_folder
from bench.datasets import read_rgb8, resolve_dataset
from bench.datasets.dataset import list_images
from bench.metrics.quality import METRICS, Quality, available_metrics, choose_metrics, measure_quality
from bench.results.store import Store
from bench.runners.evaluate.engine import QueuedUnits, run_units
from bench.runners.evaluate.plan import EvaluationPlan, make_plan
from bench.runners.evaluate.selection import ALL, choose
from bench.runners.evaluate.unit import Unit, stream_folder, stream_path
from bench.runners.machine import resolve_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="originals, then decoded pictures")
    parser.add_argument("--metrics", type=names, metavar="A,B,...",
                        help=f"quality metrics (default: {', '.join(available_metrics())})")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the values of every pair there")
    parser.add_argument("--dataset", metavar="NAME|FOLDER", help="the set whose stored rows are completed")
    parser.add_argument("--streams", type=Path, metavar="FOLDER", help="files kept by `evaluate --keep-streams`")
    parser.add_argument("--codecs", type=names, default=[ALL], metavar="A,B,...", help="codecs (default: all)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for learned codecs")
    parser.add_argument("--results", type=Path, default=default_folder("results"), metavar="FOLDER",
                        help="stored rows (default: BENCH_RESULTS, else results/)")


def run(args: argparse.Namespace) -> int:
    """Score two folders, or the kept files of stored rows."""
    metrics = available_metrics() if args.metrics is None else choose_metrics(args.metrics)
    if args.dataset and args.streams and not args.folders:
        return _score_streams(args, metrics)
    if len(args.folders) == 2 and not (args.dataset or args.streams):
        originals, decoded = args.folders
        return _score_folders(originals, decoded, metrics, args.csv)
    raise ConfigurationError("score takes two folders, or --dataset with --streams",
                             "python -m bench score originals/ decoded/")


def _score_folders(originals: Path, decoded: Path, metrics: tuple[str, ...], csv_path: Path | None) -> int:
    pairs = _pair_images(originals, decoded)
    found = {}
    for name, (first, second) in pairs.items():
        pixels, others = read_rgb8(first), read_rgb8(second)
        if pixels.shape != others.shape:
            raise ConfigurationError(f"{first.name} is {pixels.shape[1]}x{pixels.shape[0]}, {second} is "
                                     f"{others.shape[1]}x{others.shape[0]}", "score needs pictures of one size")
        found[name] = measure_quality(pixels, others, metrics)

    _print_qualities(found, metrics)
    if csv_path is not None:
        _write_csv(found, metrics, csv_path)
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


def _print_qualities(found: dict[str, Quality], metrics: tuple[str, ...]) -> None:
    entries = [METRICS.get(name) for name in metrics]
    table = [(image, *(_cell(quality, entry.name, entry.scale.digits) for entry in entries))
             for image, quality in found.items()]
    means = [[quality.values[entry.name] for quality in found.values() if entry.name in quality.values]
             for entry in entries]
    table.append(("mean", *(f"{fmean(values):.{entry.scale.digits}f}" if values else "N/A"
                            for values, entry in zip(means, entries))))
    print(tabulate(table, ("image", *(entry.scale.axis_label for entry in entries)), disable_numparse=True,
                   colalign=("left", *("right",) * len(entries))))
    for image, quality in found.items():
        for name, reason in quality.missing.items():
            print(f"{image}: no {METRICS.get(name).label}: {reason}")


def _cell(quality: Quality, name: str, digits: int) -> str:
    return f"{quality.values[name]:.{digits}f}" if name in quality.values else "N/A"


def _write_csv(found: dict[str, Quality], metrics: tuple[str, ...], path: Path) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *(METRICS.get(name).scale.column for name in metrics)])
            for image, quality in found.items():
                writer.writerow([image, *(quality.values.get(name, "") for name in metrics)])
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror or error}") from None


def _score_streams(args: argparse.Namespace, metrics: tuple[str, ...]) -> int:
    dataset, store = resolve_dataset(args.dataset, allow_partial=True), Store(args.results)
    chosen = choose(args.codecs)
    uses_torch = any(CODECS.get(spec.codec).uses_torch for spec in chosen.specs)
    template = Unit(spec=CodecSpec("", "", ""), dataset=dataset.name, dataset_total=dataset.total, images=(),
                    device=resolve_device(args.device) if uses_torch else "cpu", keep_streams=str(args.streams),
                    metrics=metrics)
    plan = make_plan(dataset, chosen.specs, (), store, template)

    units, lacking = _units_of_streams(plan, args.streams)
    scored = 0
    with closing(run_units(QueuedUnits(units), jobs=1)) as rows:
        for unit, row in rows:
            if row.key == unit.stored[row.image].key and not row.lacks(metrics):
                store.append(row)
                scored += 1
    print(f"{scored} rows gained {', '.join(metrics)}; {lacking} stored rows lack one and have no kept file")
    failed = sum(len(unit.images) for unit in units) - scored
    if failed:
        print(f"{failed} kept files do not decode to the picture that was measured", file=sys.stderr)
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

"""Lists, shows, checks, imports and exports published curves."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.files import match_files
from bench.common.text import find_near_names, suggest_name
from bench.curves.anchors.catalogue import (
    find_folders,
    list_anchors,
    list_curves,
    list_folders,
    load_curve,
    place_imported,
    read_imported,
)
from bench.curves.anchors.check import TOLERANCE_POINTS, check_anchors
from bench.curves.anchors.compressai_json import write_json
from bench.curves.anchors.curve_files import read_curve_file
from bench.curves.averaging import AVERAGING, MEAN, find_averaging
from bench.curves.pairing import PICTURES, find_pictures
from bench.curves.rd_curve import RDCurve, Values
from bench.curves.sources import ROWS_SUFFIX, read_rows_curve, split_name
from bench.datasets.catalogue import load_catalogue
from bench.metrics.quality import METRICS, PSNR, known_metrics
from bench.metrics.rate.curves import find_curve_fault
from bench.results.stored import StoredResults


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    if args.action is None:
        args.parser.print_help()
        return EXIT_BAD_INPUT
    actions = {"list": _list_curves, "show": _show_curve, "check": _check_anchors, "import": _import_curve,
               "export": _export_curve}
    return actions[args.action](args)


def _list_curves(args: argparse.Namespace) -> int:
    wanted = [args.dataset] if args.dataset else _list_datasets(args.results)
    rows = []
    for dataset in wanted:
        roles = {anchor.name: f"{anchor.role} anchor" for anchor in list_anchors(dataset)}
        noted = [(load_curve(dataset, name), roles.get(name, "")) for name in list_curves(dataset)]
        noted += [(curve, "imported") for curve in read_imported(args.results, dataset)]
        for curve, note in noted:
            rows.append((dataset, curve.name, curve.label, ", ".join(curve.points.metrics), len(curve.bpp),
                         f"{min(curve.bpp):.3f} to {max(curve.bpp):.3f}", note))
    if not rows:
        known = _list_datasets(args.results)
        raise ConfigurationError(f"there are no published curves of dataset '{args.dataset}'",
                                 suggest_name(args.dataset, known, f"there are some of: {', '.join(known)}"))
    print(tabulate(rows, headers=("dataset", "name", "label", "metrics", "points", "bpp", "")))
    return EXIT_DONE


def _list_datasets(results: Path) -> list[str]:
    """Return the suite's datasets with curves, then the other folders, then what only the user has."""
    own = sorted(path.parent.name for path in match_files(results, "*/published") if path.is_dir())
    others = [folder for folder in list_folders() if folder not in find_folders().values()]
    return list(dict.fromkeys([*find_folders(), *others, *own]))


def _show_curve(args: argparse.Namespace) -> int:
    own = {curve.name: curve for curve in read_imported(args.results, args.dataset)}
    curve = own.get(args.name) or load_curve(args.dataset, args.name)
    roles = [anchor.role for anchor in list_anchors(args.dataset) if anchor.name == curve.name]
    facts = {"label": curve.label, "description": curve.description, "source": curve.source,
             "anchor": ", ".join(roles), "images": str(curve.images or "not stated"),
             AVERAGING: _describe_averaging(curve),
             **{key: _shorten(value) for key, value in curve.meta.items() if key not in ("images", AVERAGING)}}
    shown = [(key, value) for key, value in facts.items() if value]
    print(tabulate(shown, tablefmt="plain", disable_numparse=True))
    print("\n" + tabulate(_make_columns(curve), headers="keys", floatfmt=".4f", missingval="-"))
    return EXIT_DONE


def _describe_averaging(curve: RDCurve) -> str:
    """Say how qualities became those along the curve, where there is more than one way."""
    ways = {metric.label: find_averaging(curve, metric.name) for metric in known_metrics() if curve.has(metric.name)}
    return ", ".join(f"{label} {way}" for label, way in ways.items() if way != MEAN)


def _make_columns(curve: RDCurve) -> dict[str, Values]:
    """Rates, and every quality that is known: of images, and along the curve where that is another number."""
    columns = {"bpp": curve.bpp}
    for metric in known_metrics():
        values, on_curve = curve.points.quality.get(metric.name), curve.points.on_curve(metric.name)
        if values is not None:
            columns[metric.scale.axis_label] = values
        if metric.has_own_curve_scale and on_curve is not None:
            columns[metric.on_curves.axis_label] = on_curve
    return columns


def _shorten(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
    return str(value)


def _check_anchors(args: argparse.Namespace) -> int:
    from bench.claims.catalogue import load_claims

    claims = [claim for claim in load_claims().values() if claim.published and claim.quality_metric is PSNR]
    rows = check_anchors({(dataset, claim.published): claim.weaker_end for dataset in find_folders() for claim in claims
                          if claim.published and dataset in claim.datasets})
    print("BD-rate of HPCM's published points, PSNR, PCHIP, averaged curves. The paper states them against\n"
          "VTM-22.0, whose points are not public; the anchors here are the nearest that are, each under its\n"
          "own version.\n")
    verdicts = {True: "yes", False: "NO", None: "not stated"}
    table = [(row.dataset, row.codec, row.anchor, row.computed_percent, row.stated_percent,
              row.difference_points, verdicts[row.agrees]) for row in rows]
    print(tabulate(table, headers=("dataset", "codec", "anchor", "here %", "paper %", "difference",
                                   f"within {TOLERANCE_POINTS}"), floatfmt="+.2f", missingval="-"))
    for row in rows:
        if row.reason:
            print(f"no number: {row.dataset}, {row.codec}: {row.reason}")
    return EXIT_INCOMPLETE if any(row.agrees is False for row in rows) else EXIT_DONE


def _import_curve(args: argparse.Namespace) -> int:
    path = place_imported(args.results, args.dataset, args.name)
    _refuse_slip(args.dataset, args.results)
    if args.name in list_curves(args.dataset):
        raise ConfigurationError(f"'{args.name}' is a curve that comes with the suite", "choose another name")
    if path.exists() and not args.force:
        raise ConfigurationError(f"a curve '{args.name}' of dataset '{args.dataset}' is already imported",
                                 "choose another name, or replace it with --force")
    curve = read_curve_file(args.file)
    known = {folder: name for name, folder in find_folders().items()}
    if curve.dataset and known.get(curve.dataset, curve.dataset).lower() != args.dataset.lower():
        raise ConfigurationError(f"{args.file} says that its points are of dataset '{curve.dataset}'",
                                 f"import it with --dataset {curve.dataset}, or mend meta.dataset in the file")
    meta = {**curve.meta, "dataset": args.dataset, "imported_from": args.file.name}
    if curve.images:
        meta["images"] = curve.images
    curve = replace(curve, dataset=args.dataset, label=args.label or curve.label, source=args.source, meta=meta)
    write_json(curve, path)
    print(f"wrote {path}: {len(curve.bpp)} points, {', '.join(curve.points.metrics)}")
    _print_remarks(curve)
    for metric in curve.points.metrics:
        fault = find_curve_fault(curve.curve(metric))
        if fault:
            print(f"warning: no BD-rate by {METRICS.get(metric).label}: {fault}")
    return EXIT_DONE


def _refuse_slip(dataset: str, results: Path) -> None:
    """Refuse a name that looks like a known dataset's; any other may be that of a folder of the user's.

    Other digits make another name: clic2022 is no slip for clic2020.
    """
    known = sorted({*load_catalogue(), *_list_datasets(results), *StoredResults(results).datasets})
    same_digits = [name for name in known if re.sub(r"\D", "", name) == re.sub(r"\D", "", dataset)]
    if dataset not in known and (near := find_near_names(dataset, same_digits)):
        raise ConfigurationError(f"there is no dataset '{dataset}'", f"did you mean {', '.join(near)}?")


def _export_curve(args: argparse.Namespace) -> int:
    path, name = split_name(args.rows)
    if path.suffix.lower() != ROWS_SUFFIX:
        raise ConfigurationError(f"{path} is no file of rows", f"expected a name ending in {ROWS_SUFFIX}")
    curve = read_rows_curve(path, args.name or name, (args.metric,))
    about = {"dataset": curve.dataset, PICTURES: sorted(find_pictures(curve))}
    curve = replace(curve, meta={**curve.meta, **{key: value for key, value in about.items() if value}})
    write_json(curve, args.out)
    print(f"wrote {args.out}: {curve.label}, {len(curve.bpp)} points over {curve.images} images")
    _print_remarks(curve)
    return EXIT_DONE


def _print_remarks(curve: RDCurve) -> None:
    for remark in curve.remarks:
        print(f"warning: {remark}")

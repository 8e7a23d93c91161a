"""Shows, migrates and tidies what is stored."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from tabulate import tabulate

from bench.claims.state import STATE_FILES
from bench.common.errors import EXIT_DONE, ConfigurationError
from bench.common.folders import BASELINE
from bench.common.hashing import sha256_of_pixels
from bench.common.text import format_count, is_among, suggest_name
from bench.datasets import load_catalogue, read_rgb8
from bench.datasets.locate import find_copy
from bench.metrics.quality import known_metrics
from bench.results.crosschecks import Crosscheck
from bench.results.latency_rows import LatencyRow
from bench.results.machines import name_machine
from bench.results.reproductions import Reproduction
from bench.results.rows import OK, Row
from bench.results.store import Store, read_rows
from bench.results.stored import StoredResults
from bench.results.upkeep import Upkeep, drop_rows, find_row_files, migrate_file, prune_file


def run(args: argparse.Namespace) -> int:
    """Carry out one action; return the exit status."""
    if args.action == "list":
        return _list_rows(args.results)
    if args.action == "migrate":
        return _migrate(args.results)
    if args.action == "prune":
        return _report_upkeep([prune_file(path, kind) for path, kind in find_row_files(args.results)], args.results)
    return _drop(args)


def _list_rows(root: Path) -> int:
    stored: dict[type[Any], list[Any]] = {Row: [], LatencyRow: [], Reproduction: [], Crosscheck: []}
    for path, kind in find_row_files(root):
        stored[kind] += read_rows(path, kind)
    rows = stored[Row]
    if not rows:
        print(f"nothing is stored in {root}")
        return EXIT_DONE

    groups: dict[tuple[str, str], list[Row]] = {}
    for row in {(row.key, name_machine(row.provenance)): row for row in rows}.values():
        groups.setdefault((row.dataset, row.name), []).append(row)
    measured = {name for row in rows for name in row.quality}
    metrics = [metric for metric in known_metrics() if metric.name in measured]
    table = [{
        "dataset": dataset, "name": name, "points": len({row.point for row in own}),
        "images": len({row.image for row in own}), "rows": len(own), "failed": sum(row.status != OK for row in own),
        "machines": len({name_machine(row.provenance) for row in own}),
        **{metric.label: sum(row.quality.get(metric.name) is not None for row in own) for metric in metrics},
    } for (dataset, name), own in sorted(groups.items())]
    print(tabulate(table, "keys"))

    for kind, what in ((LatencyRow, "latencies"), (Reproduction, "reproductions"), (Crosscheck, "crosschecks")):
        if stored[kind]:
            print(f"\nand {format_count(len(stored[kind]), 'row')} of {what}")
    return EXIT_DONE


def _migrate(root: Path) -> int:
    hashes = _pixel_hashes(root)
    done = []
    for path, kind in find_row_files(root):
        complete = partial(_with_pixels, hashes=hashes) if kind is Row else (lambda row: row)
        done.append(migrate_file(path, kind, complete))

    for name, kind in STATE_FILES.items():
        path = root / BASELINE / f"{name}.jsonl"
        if path.is_file():
            done.append(migrate_file(path, kind))
    return _report_upkeep(done, root)


def _pixel_hashes(root: Path) -> dict[str, str]:
    """Return the SHA-256 of the pixels of every catalogued picture that is here and stored rows are about, by file."""
    known: dict[str, str] = {}
    for spec in load_catalogue().values():
        location = find_copy(spec) if (root / spec.name).is_dir() else None
        for state in location.states if location is not None else ():
            if state.path is not None and state.sha256 is not None and state.fault is None:
                known[state.sha256] = sha256_of_pixels(read_rgb8(state.path))
    return known


def _with_pixels(row: Row, hashes: dict[str, str]) -> Row:
    if row.pixels_sha256 is not None or row.image_sha256 not in hashes:
        return row
    return msgspec.structs.replace(row, pixels_sha256=hashes[row.image_sha256])


def _drop(args: argparse.Namespace) -> int:
    path = Store(args.results).path(args.dataset, args.name)
    if not path.is_file():
        raise ConfigurationError(f"no rows of '{args.name}' on '{args.dataset}' are stored", _suggest_stored(args))
    points = {row.point for row in read_rows(path, Row)}
    unknown = [point for point in args.points if not is_among(point, points)]
    if unknown:
        raise ConfigurationError(f"'{args.name}' has no rate point {', '.join(unknown)}",
                                 f"it has: {', '.join(sorted(points))}")

    done = drop_rows(path, lambda row: not args.points or is_among(row.point, args.points))
    return _report_upkeep([done], args.results)


def _suggest_stored(args: argparse.Namespace) -> str:
    """Return a hint for a dataset or codec of which nothing is stored."""
    names = sorted({row.name for row in Store(args.results).read(args.dataset)})
    what, known = (args.name, names) if names else (args.dataset, StoredResults(args.results).datasets)
    return suggest_name(what, known, "python -m bench results list shows what is")


def _report_upkeep(done: list[Upkeep], root: Path) -> int:
    changed = [one for one in done if one.changed]
    for one in changed:
        parts = [f"{number} {what}" for what, number in (
            ("migrated", one.migrated), ("superseded dropped", one.superseded),
            ("damaged lines set aside", one.damaged), ("dropped", one.dropped),
            ("measurements of several machines kept", one.shared)) if number]
        print(f"{one.path.relative_to(root)}: {', '.join(parts)}; {one.rows} rows")
    print(f"{len(changed)} of {len(done)} files changed")
    return EXIT_DONE

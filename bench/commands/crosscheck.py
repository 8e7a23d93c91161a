"""Decodes files under other settings than they were encoded under."""

from __future__ import annotations

import argparse
from dataclasses import replace

from bench.codecs.base import CodecSpec
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.files import require_writable
from bench.common.text import format_count
from bench.datasets import resolve_dataset
from bench.results.crosschecks import WRONG, Crosscheck, read_crosschecks
from bench.results.decoding_settings import SAME, SETTINGS
from bench.results.store import Store
from bench.runners.crosscheck.exchange import read_manifest
from bench.runners.crosscheck.imported import plan_import
from bench.runners.crosscheck.options import choose_coded
from bench.runners.crosscheck.plan import (
    CrosscheckPlan,
    Origin,
    Planner,
    describe_plan,
    find_rows,
    name_device,
    plan_dataset,
)
from bench.runners.crosscheck.run import CrosscheckRun, prepare_export
from bench.runners.crosscheck.settings import choose_settings, require_setting
from bench.runners.crosscheck.summary import summarise
from bench.runners.evaluate.own_sets import name_apart
from bench.runners.evaluate.selection import describe_missing
from bench.runners.evaluate.unit import Unit
from bench.runners.machine import resolve_device
from bench.runners.progress import Progress


def run(args: argparse.Namespace) -> int:
    """Decode what is not stored, or export it; 1 if a picture is wrong or could not be encoded."""
    store = Store(args.results)
    plan = _plan_import(args, store) if args.imported else _plan_dataset(args, store)
    print(describe_plan(plan), flush=True)
    if args.plan:
        return EXIT_DONE
    if args.export:
        return _export(args, plan)

    if plan.decodings:
        require_writable(args.results)
    with Progress(plan.make_forecast(), plan.decodings) as progress:
        running = CrosscheckRun(plan, progress)
        for _ in running.crosscheck(store):
            pass
    rows = find_rows(plan, read_crosschecks(store.root, plan.dataset))
    print(f"\n{plan.title}\n{summarise(rows)}")
    return _report_faults(plan, running, rows)


def _plan_dataset(args: argparse.Namespace, store: Store) -> CrosscheckPlan:
    if args.dataset is None:
        raise ConfigurationError("nothing to decode", "name pictures by --dataset, or a folder of files by --import")
    chosen = choose_coded(args.codecs, args.points, exact=args.exact, version=args.format)
    dataset = name_apart(resolve_dataset(args.dataset, allow_partial=args.allow_partial), store)
    dataset = replace(dataset, images=dataset.images[: args.images])
    encoding = SETTINGS.get(require_setting(args.encode_on))
    origin = Origin(name_device(encoding.device or args.device), args.encode_on)
    exports = args.export is not None
    settings = choose_settings([SAME] if exports else args.decode_on, args.device, args.threads)
    planner = Planner(store, dataset.name, origin, settings.names, args.device, remeasure=args.remeasure or exports)
    units = plan_dataset(dataset, chosen.specs, planner, _make_template(args))
    return CrosscheckPlan(
        dataset.name, f"{dataset.title}: {dataset.coverage}", origin, settings, units,
        missing=tuple(describe_missing(chosen.missing)), complete=not any(one.named for one in chosen.missing),
        exports=exports)


def _plan_import(args: argparse.Namespace, store: Store) -> CrosscheckPlan:
    if args.dataset is not None or args.export is not None:
        raise ConfigurationError("--import goes with neither --dataset nor --export")
    manifest = read_manifest(args.imported)
    origin = Origin(manifest.encoder_machine, manifest.encoder_setting, args.imported)
    if args.threads is None:  # "same" is as the encoder did
        args.threads = manifest.threads
    settings = choose_settings(args.decode_on, args.device, args.threads)
    planner = Planner(store, manifest.dataset, origin, settings.names, args.device, remeasure=args.remeasure)
    units, left_out = plan_import(args.imported, manifest, planner, _make_template(args))
    return CrosscheckPlan(manifest.dataset, f"{manifest.dataset}, coded on {manifest.encoder_machine}", origin,
                          settings, units, missing=left_out, complete=not left_out)


def _make_template(args: argparse.Namespace) -> Unit:
    return Unit(spec=CodecSpec("", "", ""), dataset="", dataset_total=None, images=(), metrics=(),
                device=resolve_device(args.device), threads=args.threads, decode_timeout_s=args.decode_timeout)


def _export(args: argparse.Namespace, plan: CrosscheckPlan) -> int:
    prepare_export(args.export)
    with Progress(plan.make_forecast()) as progress:
        running = CrosscheckRun(plan, progress)
        manifest = running.export(args.export)
    files = sum(len(unit.files) for unit in manifest.units)
    print(f"{format_count(files, 'file')} in {args.export}; there: python -m bench crosscheck --import FOLDER")
    return _report_faults(plan, running, [])


def _report_faults(plan: CrosscheckPlan, running: CrosscheckRun, rows: list[Crosscheck]) -> int:
    for text in running.uncoded:
        print(f"error: {text}")
    wrong = any(row.outcome == WRONG for row in rows)
    complete = plan.complete and not plan.settings.named
    return EXIT_INCOMPLETE if wrong or running.uncoded or not complete else EXIT_DONE

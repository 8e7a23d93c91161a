"""Measures what variants cost: latency, stages, memory and operations."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.arguments import split_names
from bench.commands.report import report_on
from bench.commands.usage.profile import BUDGET_S, QUICK_BUDGET_S, QUICK_REPEATS, QUICK_SHAPES, SHAPES
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.common.files import require_writable
from bench.results.latency_selection import BASE, DEFAULT
from bench.results.rows import OK
from bench.results.stored import LATENCY, StoredResults
from bench.runners.machine import configure_torch, device_name, resolve_device
from bench.runners.machine_lock import timing_alone
from bench.runners.machine_share import refuse_shared_machine
from bench.runners.profile import ROUNDS
from bench.runners.profile.expected import ProfileTimes
from bench.runners.profile.unprofiled import SHAPE

if TYPE_CHECKING:
    from bench.runners.profile.plan import Settings
    from bench.runners.profile.subjects import Subject

    Profile = tuple[list[list[Subject]], Settings]


def run(args: argparse.Namespace) -> int:
    """Run the verb; 1 if anything failed or a decoded image differed."""
    _quieten_profiler()
    from bench.runners.profile.candidate import write_traces
    from bench.runners.profile.plan import describe_plan, group_subjects, select_pending
    from bench.runners.profile.subjects import choose_subjects

    settings = _settings(args)
    subjects = choose_subjects(args.variants, args.configurations, settings.device)
    device = device_name(settings.device)
    folder = latency_folder(args.results, device)
    if args.resume:
        stored = StoredResults(args.results).latencies(folder.name).stored
        done = [row.key for row in stored if row.status == OK]  # failures are tried again
        subjects = select_pending(subjects, settings, device, done)
    if not subjects:
        print("all of it is stored; leave --resume away to measure it again")
        return EXIT_DONE

    groups = group_subjects(subjects, settings)
    settings = replace(settings, groups=len(groups))
    print(describe_plan(groups, settings, device, _read_times(args, settings)), flush=True)
    if args.plan:
        return EXIT_DONE
    if args.trace:
        for path in write_traces(subjects, settings, args.reports / "latency" / "traces"):
            print(f"wrote {path}", flush=True)
        return EXIT_DONE

    code = run_profile(args, groups, settings)
    if not args.no_report:
        report_on("latency", StoredResults(args.results), args.reports)
    return code


def run_profile(args: argparse.Namespace, groups: Sequence[Sequence[Subject]], settings: Settings) -> int:
    """Measure, store and print; return 1 if a row failed or a decoded image differed.

    Other runs on this machine end what they measure first, and begin nothing meanwhile.

    Raises:
        MachineShared: times would be of a part of the machine, and nobody wants them all the same.
    """
    from bench.runners.profile.apart import profile_apart
    from bench.runners.profile.run import summarise_rows

    if not args.shared_machine:
        refuse_shared_machine()
    folder = latency_folder(args.results, device_name(settings.device))
    require_writable(folder)
    with timing_alone(lambda text: print(text, file=sys.stderr, flush=True)):
        rows = profile_apart(groups, settings, folder, _read_times(args, settings))
    print(summarise_rows(rows), flush=True)
    wrong = any(row.status != OK or row.decode_matches is False for row in rows)
    return EXIT_INCOMPLETE if wrong else EXIT_DONE


def _read_times(args: argparse.Namespace, settings: Settings) -> ProfileTimes:
    """What a profile is expected to take, by what is stored of the device."""
    folder = latency_folder(args.results, device_name(settings.device))
    cases = StoredResults(args.results).latencies(folder.name).cases
    return ProfileTimes(cases, settings.device, (settings.torch or {})["threads"], args.results)


def _quieten_profiler() -> None:
    """Keep torch's profiler from warning of what doesn't matter here; before torch is imported."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")


def plan_beside_baseline(args: argparse.Namespace, names: Sequence[str]) -> Profile:
    """Return groups and settings of a short profile: variants in turns with the baseline, at the usual size.

    Args:
        args: device, threads and algorithms.
        names: of variants.
    """
    _quieten_profiler()
    from bench.runners.profile.plan import Settings, group_subjects, parse_picture
    from bench.runners.profile.protocol import Protocol
    from bench.runners.profile.subjects import choose_subjects

    torch_options = _configure_torch(args)
    settings = Settings(resolve_device(args.device), (parse_picture(SHAPE),), protocol=Protocol(ROUNDS, least=ROUNDS),
                        torch=torch_options)
    groups = group_subjects(choose_subjects([BASE, *names], [DEFAULT], settings.device), settings)
    return groups, replace(settings, groups=len(groups))


def latency_folder(results: Path, device: str) -> Path:
    """Where the rows of a device are: its name in small letters and digits."""
    return results / LATENCY / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device")


def _settings(args: argparse.Namespace) -> Settings:
    from bench.datasets.images import image_size
    from bench.runners.profile.plan import Picture, Settings, parse_picture
    from bench.runners.profile.protocol import Protocol

    device, torch_options = resolve_device(args.device), _configure_torch(args)
    if args.image is not None:
        pictures = [Picture(*image_size(args.image), args.image)]
    else:
        shapes = args.shapes or (QUICK_SHAPES if args.quick else SHAPES[device])
        pictures = [parse_picture(shape) for shape in split_names(shapes)]

    repeats = args.repeats or (QUICK_REPEATS if args.quick else Protocol.repeats)
    budget_s = args.budget or (QUICK_BUDGET_S if args.quick else BUDGET_S)
    protocol = Protocol(repeats, budget_s, least=min(ROUNDS, repeats))
    return Settings(device, tuple(dict.fromkeys(pictures)), args.batch, protocol, torch_options)


def _configure_torch(args: argparse.Namespace) -> dict[str, Any]:
    from torch import get_num_threads

    configure_torch(args.threads, args.deterministic)
    return {"threads": get_num_threads(), "deterministic": args.deterministic}

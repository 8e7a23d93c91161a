"""Times parts of the suite on this machine."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from bench.benchmarks import BENCHMARKS
from bench.commands.usage.benchmark import ALL, GOALS
from bench.common.errors import EXIT_DONE
from bench.common.text import format_duration
from bench.runners.machine import resolve_device
from bench.runners.progress import Progress


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.name is None:
        for name in BENCHMARKS:
            print(f"{name}: {BENCHMARKS.get(name).summary}")
        return EXIT_DONE

    if args.name == GOALS:
        names = [name for name in BENCHMARKS if BENCHMARKS.get(name).has_goal]
    else:
        names = list(BENCHMARKS) if args.name == ALL else [args.name]
    run_benchmarks(names, resolve_device(args.device), args.quick)
    return EXIT_DONE


def run_benchmarks(names: Sequence[str], device: str, quick: bool) -> None:
    """Run benchmarks one after the other, printing what each found, and all ratios at the end."""
    entries = {name: BENCHMARKS.get(name) for name in names}
    expected_s = {name: entry.quick_s if quick else entry.expected_s for name, entry in entries.items()}

    from bench.benchmarks.benchmark import SideBySide, machine_line, ratio_table

    ratios: list[SideBySide] = []
    if len(entries) > 1:
        print(f"{', '.join(names)}: about {format_duration(sum(expected_s.values()))}", flush=True)
    with Progress(sum(expected_s.values())) as progress:
        for name, entry in entries.items():
            module = importlib.import_module(f"bench.benchmarks.{name}")
            progress.start_step(name, expected_s[name])
            report = module.run(device, quick, lambda what, name=name: progress.show(f"{name}: {what}"))
            heading = f"\n{name}: {entry.summary}\n" if len(entries) > 1 else ""
            progress.print_result(f"{heading}{report.text}")
            ratios += report.ratios
    if ratios:
        print(f"\n{machine_line(device)}\n{ratio_table(ratios)}")

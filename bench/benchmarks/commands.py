"""Time the suite's own commands, with nothing left to measure, beside ``import pandas, matplotlib`` in turns."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import bench
from bench.benchmarks.benchmark import (
    BenchmarkReport,
    CallTimes,
    SideBySide,
    Spread,
    Tell,
    machine_line,
    make_report,
    run_python,
    tell_nothing,
)
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.common.folders import default_folder
from bench.common.temporary import temporary_folder

IMPORTS = ("-c", "import pandas, matplotlib")
ROUNDS = 3
FIRST_S = 30.0  # what the first run may take
# What is run in a folder with a copy of all results, and how many times the imports' time it may take.
KODAK = ("assess", "kodak")
UNCHANGED = {"make kodak": (KODAK, 2.5), "make claims": (("claims",), 5.0)}
HELP_GOAL = 0.3
NOTES = """\
Seconds of whole processes, in turns; median (10th to 90th percentile) of {rounds} rounds. The commands run on a copy
of all stored results and have nothing to measure: first without reports, then unchanged. imports: {imports}.
Of all verbs, {slowest} is the slowest to print its help."""


def list_verbs() -> list[str]:
    """Return the verbs of the command line, by the files that say what each accepts."""
    return sorted(path.stem for path in (Path(bench.__file__).parent / "commands" / "usage").glob("[a-z]*.py"))


def run(device: str, quick: bool = False, tell: Tell = tell_nothing) -> BenchmarkReport:
    """Time each command in turns with the imports; on the host, whatever the device."""
    helps = {f"{verb} --help": (verb, "--help") for verb in list_verbs()}
    commands = helps | {f"unchanged {name}": arguments for name, (arguments, _) in UNCHANGED.items()}
    with temporary_folder("benchmark") as folder:
        copy_results(folder)
        first = {}
        for target, (arguments, _) in UNCHANGED.items():
            tell(f"first {target}")
            first[target] = _time_suite(folder, arguments)
        times = _time_rounds(folder, commands, 1 if quick else ROUNDS, tell)

    slowest = max(helps, key=lambda command: times[command].median)
    shown = ["imports", slowest, *(command for command in commands if command not in helps)]
    rows = [{"command": f"first {target}", "seconds": f"{seconds:.1f}", "over the imports": ""}
            for target, seconds in first.items()]
    rows += [{"command": command, "seconds": str(Spread(times[command].values)),
              "over the imports": str(times[command].over(times["imports"]))} for command in shown]
    notes = NOTES.format(imports=IMPORTS[1], rounds=len(times["imports"].values), slowest=slowest.partition(" ")[0])
    return make_report(machine_line("cpu"), rows, notes, _compare(times, slowest, first["make kodak"]))


def _compare(times: Mapping[str, CallTimes], slowest: str, first_s: float) -> list[SideBySide]:
    imports = times["imports"]
    goals = {f"unchanged {target}": goal for target, (_, goal) in UNCHANGED.items()} | {slowest: HELP_GOAL}
    first = SideBySide(f"first make kodak, over {FIRST_S:g} s", Spread((first_s / FIRST_S,)), 1.0)
    return [first, *(SideBySide(f"{command}, over the imports", times[command].over(imports), goal)
                     for command, goal in goals.items())]


def copy_results(folder: Path) -> None:
    """Copy the checkout's stored results, without reports, to ``folder``."""
    shutil.copytree(default_folder("results"), folder / "results")


def _time_rounds(folder: Path, commands: Mapping[str, Sequence[str]], rounds: int,
                 tell: Tell) -> dict[str, CallTimes]:
    """Time all commands and, as "imports", the imports: each once a round."""
    seconds: dict[str, list[float]] = {"imports": [], **{command: [] for command in commands}}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}: imports")
        seconds["imports"].append(run_python(IMPORTS, folder)[1])
        for command, arguments in commands.items():
            tell(f"round {number + 1} of {rounds}: {command}")
            seconds[command].append(_time_suite(folder, arguments))
    return {command: CallTimes(tuple(found)) for command, found in seconds.items()}


def _time_suite(folder: Path, arguments: Sequence[str]) -> float:
    """Run a verb on the folder's results; returns the seconds that it took."""
    _, seconds = run_python(["-m", "bench", *arguments], folder, exit_codes=(EXIT_DONE, EXIT_INCOMPLETE),
                            BENCH_RESULTS=str(folder / "results"), BENCH_REPORTS=str(folder / "reports"))
    return seconds

"""The report of trainings: logs in, a folder of files out. Needs neither models nor torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.common.errors import BenchError
from bench.reports.page.canvas import COLUMN, WIDE, Figure
from bench.reports.page.files import write_folder
from bench.reports.page.pages import Report, Section
from bench.reports.rate.build import contents_of
from bench.reports.rate.seeds import BASE
from bench.reports.training.plots import MULTIPLIER_NOTE, balance, training_curves
from bench.reports.training.tables import differences_table, noise_table, seed_noise, trainings_table
from bench.results.training_logs import TRAINING, Training, read_trainings

BALANCED = re.compile(r"balanced_phase\d+_mini")
MINIATURES = (
    "Miniatures, variants whose name ends in _mini, are not the authors' models: they are small models trained for a "
    "short time, all alike, to show differences between variants, and say nothing about the authors' models."
)
INTRO = "Every figure here is read from the logs of the trainings in results/training."
NO_PAIR = (f"There are no curves side by side: that needs the logs of {BASE} and of a balanced_phase<N>_mini.")


def build_training_report(results_dir: Path, reports_dir: Path) -> list[Path]:
    """Write ``reports_dir/training/`` from the logs in ``results_dir/training``.

    Returns:
        the files written, README.md first; the same logs give the same bytes.

    Raises:
        BenchError: there are no logs, one is damaged, or the folder can't be written.
    """
    return write_training_report(make_training_report(read_trainings(results_dir)), reports_dir)


def write_training_report(report: Report, reports_dir: Path) -> list[Path]:
    """Write the folder of ``report`` and return the files' paths, README.md first."""
    return write_folder(Path(reports_dir) / report.name, contents_of(report))


def make_training_report(trainings: Sequence[Training]) -> Report:
    """Return the report without writing it.

    Raises:
        BenchError: there are no trainings.
    """
    if not trainings:
        raise BenchError("there are no logs of trainings", "train first: python -m bench train --help")
    noise = seed_noise(trainings)
    curves, balances = _side_by_side(trainings), _balances(trainings)
    sections = [Section("Trainings", (trainings_table(trainings),))]
    if noise:
        sections.append(Section("Noise between runs", (noise_table(noise), differences_table(trainings, noise))))
    if curves:
        sections.append(Section("Standard and balanced training side by side", figures=tuple(curves)))
    if balances:
        sections.append(Section("What balancing did", figures=tuple(balances)))
    intro = [MINIATURES] if any(one.variant.endswith("_mini") for one in trainings) else []
    intro.append(INTRO)
    if balances:
        intro.append(MULTIPLIER_NOTE)
    if not curves:
        intro.append(NO_PAIR)
    return Report(TRAINING, "Trainings", "trainings", tuple(intro), tuple(sections))


def _side_by_side(trainings: Sequence[Training]) -> list[Figure]:
    """Each balanced miniature beside the baseline."""
    standard = [one for one in trainings if one.variant == BASE]
    return [training_curves(standard, found, layout) for name, found in _by_variant(trainings).items()
            if standard and BALANCED.fullmatch(name) for layout in (WIDE, COLUMN)]


def _balances(trainings: Sequence[Training]) -> list[Figure]:
    """Each variant in whose logs there are weights of tasks."""
    balanced = [one for one in trainings if any(step.weights for step in one.steps)]
    return [balance(found, layout) for found in _by_variant(balanced).values() for layout in (WIDE, COLUMN)]


def _by_variant(trainings: Sequence[Training]) -> dict[str, list[Training]]:
    found: dict[str, list[Training]] = {}
    for one in trainings:
        found.setdefault(one.variant, []).append(one)
    return found

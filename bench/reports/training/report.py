"""The report of trainings: logs in, a folder of files out. Needs neither models nor torch."""

from __future__ import annotations

import re
from operator import attrgetter

from bench.common.errors import BenchError
from bench.reports.page.pages import Report, Section
from bench.reports.page.table import group_records
from bench.reports.training.plots import MULTIPLIER_NOTE, plot_balance, plot_curves
from bench.reports.training.tables import differences_table, find_seed_noise, noise_table, trainings_table
from bench.results.labels import BASE_MINIATURE
from bench.results.stored import StoredResults
from bench.results.training_logs import TRAINING

BALANCED = re.compile(r"balanced_phase\d+_mini")
MINIATURES = (
    "Miniatures, variants whose name ends in _mini, are not the authors' models: they are small models trained for a "
    "short time, all alike, to show differences between variants, and say nothing about the authors' models."
)
INTRO = "Every figure here is read from the logs of the trainings in results/training."
NO_PAIR = ("There are no curves side by side: that needs the logs of "
           f"{BASE_MINIATURE} and of a balanced_phase<N>_mini.")


def make_training_report(results: StoredResults) -> Report:
    """Return the report of all logged trainings.

    Raises:
        BenchError: there are none, or a log is damaged.
    """
    trainings = results.trainings
    if not trainings:
        raise BenchError("there are no logs of trainings", "train first: python -m bench train --help")
    standard = [one for one in trainings if one.variant == BASE_MINIATURE]
    balanced = [one for one in trainings if any(step.weights for step in one.steps)]
    by_variant = group_records(trainings, attrgetter("variant"))
    pairs = [found for name, found in by_variant.items() if standard and BALANCED.fullmatch(name)]
    curves = [plot_curves(standard, found) for found in pairs]
    balances = [plot_balance(found) for found in group_records(balanced, attrgetter("variant")).values()]
    noise = find_seed_noise(trainings)

    sections = (
        Section("Trainings", (trainings_table(trainings),)),
        Section("Noise between runs", (noise_table(noise), differences_table(trainings, noise)) if noise else ()),
        Section("Standard and balanced training side by side", figures=tuple(curves)),
        Section("What balancing did", figures=tuple(balances)),
    )
    intro = (MINIATURES if any(one.variant.endswith("_mini") for one in trainings) else "", INTRO,
             MULTIPLIER_NOTE if balances else "", "" if curves else NO_PAIR)
    return Report(TRAINING, "Trainings", "trainings", intro, sections)

"""Judges claims that a codec's files decode elsewhere, by files that were decoded under other settings.

Such a claim is of all files, so that nothing is estimated: one that came out otherwise refutes it, and it is supported
where enough files met enough settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.claims.catalogue import EXACT, Claim
from bench.claims.rate_findings import USUAL_DATASET
from bench.claims.result import MINIATURE, Judgement
from bench.common.text import format_count, list_names
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, SUPPORTED, UNDECIDED
from bench.results.crosschecks import Crosscheck
from bench.results.portability import (
    FEWEST_FILES,
    FEWEST_SETTINGS,
    Portability,
    choose_rows,
    find_portability,
    identify_file,
)
from bench.results.stored import StoredResults

WHAT = {  # metric: what is said of files that hold the claim
    "decodes_elsewhere": "decode to identical latents", "wrong_elsewhere": "give no wrong picture without an error",
}


def judge_portability(claim: Claim, results: StoredResults, miniature: bool = False) -> list[Judgement]:
    """Judge a claim of the metrics :data:`bench.claims.catalogue.PORTABILITY`, on each dataset that it is about.

    Args:
        miniature: judge the miniature of the variant.

    Raises:
        BenchError: a file of rows is damaged.
    """
    return [_judge_on(claim, results, dataset, miniature) for dataset in claim.datasets or (USUAL_DATASET,)]


def _judge_on(claim: Claim, results: StoredResults, dataset: str, miniature: bool) -> Judgement:
    name = claim.variant + (MINIATURE if miniature else "")
    exact = claim.setting == EXACT
    command = f"python -m bench crosscheck --dataset {dataset} --codecs {name}{' --exact' if exact else ''}"
    blank = Judgement(claim, NOT_MEASURED, "", command, miniature, place=dataset, where=dataset)
    if claim.setting not in (None, EXACT):
        return replace(blank, reason=f"no variant with {claim.setting} is measured",
                       command="add a variant with this option to variants.yaml")

    found = find_portability(choose_rows(results.crosschecks(dataset), name, exact=exact))
    if not found.files:
        what = f"{name}, exact," if exact else name
        return replace(blank, reason=f"no files of {what} were decoded under other settings than their encoder's")
    if any(row.miniature != miniature for row in found.rows):
        kind = "full width" if miniature else "a miniature"
        return replace(blank, verdict=INVALID, reason=f"rows called {name} are of {kind}")
    return _count_files(blank, found)


def _count_files(blank: Judgement, found: Portability) -> Judgement:
    """Decide by the files that hold the claim under every setting that they were decoded under."""
    metric = blank.claim.metric
    faults = found.wrong if metric == "wrong_elsewhere" else found.differing
    files = len({identify_file(row) for row in faults})
    holding = found.files - files
    value = 100 * (files if metric == "wrong_elsewhere" else holding) / found.files
    judged = replace(
        blank, value=value, n=found.files, what_n="files",
        where=f"{blank.where}, {format_count(found.settings, 'other setting')}",
        evidence=f"{format_count(len(found.rows), 'decoding')} under other settings than the encoder's")

    reason = (f"{holding} of {format_count(found.files, 'file')} {WHAT[metric]} under every one of "
              f"{format_count(found.settings, 'other setting')}")
    if faults:
        return replace(judged, verdict=REFUTED, reason=f"{reason}; not so: {_name_faults(faults)}")
    if not found.is_enough:
        needed = f"{FEWEST_FILES} files, each under {FEWEST_SETTINGS} other settings, would decide it"
        return replace(judged, verdict=UNDECIDED, reason=f"{reason}; {needed}")
    return replace(judged, verdict=SUPPORTED, reason=reason)


def _name_faults(faults: Sequence[Crosscheck]) -> str:
    return list_names(f"{row.what} ({row.failure or row.outcome})" for row in faults)

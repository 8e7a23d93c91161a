"""How each codec's files decode elsewhere, for an answer."""

from __future__ import annotations

from typing import Literal

from bench.datasets.own_folders import is_own_folder
from bench.reports.front.answer import Elsewhere
from bench.results.crosschecks import Crosscheck
from bench.results.portability import FIRST_FORMAT, find_portability, name_variant
from bench.results.stored import StoredResults

Configuration = Literal["default", "exact"]


def find_elsewhere(results: StoredResults, own: bool = False) -> dict[str, dict[Configuration, Elsewhere]]:
    """Return what decoding files elsewhere came to, on all datasets, by the codec's name and configuration.

    A variant has what is known of its exact configuration, beside that configuration's own name.

    Args:
        own: on the user's own folders of images; otherwise on the catalogue's sets.

    Raises:
        BenchError: a file of rows is damaged.
    """
    groups: dict[str, dict[Configuration, list[Crosscheck]]] = {}
    datasets = [dataset for dataset in results.crosschecked if is_own_folder(dataset) == own]
    for row in (row for dataset in datasets for row in results.crosschecks(dataset)):
        if row.format == FIRST_FORMAT:
            continue
        configuration: Configuration = "exact" if row.exact else "default"
        for name in {row.name, name_variant(row)}:
            groups.setdefault(name, {}).setdefault(configuration, []).append(row)
    return {name: _count_files(of_codec) for name, of_codec in groups.items()}


def _count_files(groups: dict[Configuration, list[Crosscheck]]) -> dict[Configuration, Elsewhere]:
    """By default first; what was decoded nowhere else is left out."""
    found = {configuration: find_portability(groups[configuration]) for configuration in sorted(groups)}
    return {configuration: Elsewhere(files=one.files, alike=one.files_alike, settings=one.settings,
                                     wrong=len(one.wrong)) for configuration, one in found.items() if one.files}

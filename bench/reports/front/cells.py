"""Figures of an answer as page and terminal show them."""

from __future__ import annotations

from collections.abc import Iterable

from bench.common.text import format_number, mark_lower_bound
from bench.reports.front.answer import AnswerDataset, AnswerRow, BDRate, Cost, Rate, choose_cost
from bench.results.machines import Machine

PUBLISHED_MARK = "*"
PUBLISHED_NOTE = f"{PUBLISHED_MARK}: by published points, not measured here, of the same model or of the baseline."
NO_BD_RATE = "N/A"
MEAN_MARK = "/"
MEAN_NOTE = f"behind {MEAN_MARK} the mean over single images"
SAME = "≈"
DEFAULT = "default"  # configuration


def shorten_label(label: str) -> str:
    """Return a label without what stands in brackets.

    >>> shorten_label("VTM 22.2 intra (8-bit 4:4:4 planes)")
    'VTM 22.2'
    """
    return label.partition(" (")[0].removesuffix(" intra")


def name_anchor(dataset: AnswerDataset) -> str:
    """Return what codecs are compared with, in a word: VVC by its published points, or a codec measured here."""
    return "VVC" if dataset.benchmark else shorten_label(dataset.anchor)


def bd_rate_text(rate: Rate | None, bd_rate: BDRate | None, versus: str, *, brief: bool = False) -> str | None:
    """Return a BD-rate in percent with its interval, then the mean over single images.

    "−11.13 (−13.0 to −9.6) / −11.47"; "−15.43 *" by published points, whose images are not known; "−54.01 MS-SSIM"
    by another metric than PSNR.

    Args:
        rate: that ``bd_rate`` belongs to; None where a codec has none on the dataset.
        versus: what it is against; empty where there is nothing.
        brief: for a terminal: "−11.1 [−13.0…−9.6]/−11.5".
    """
    if rate is None or not versus:
        return None
    if bd_rate is None:
        return NO_BD_RATE
    value = format_number(bd_rate.percent, "+.1f" if brief else "+.2f")
    ends = format_ends(bd_rate.interval)
    interval = "" if ends is None else f" [{ends.replace(' to ', '…')}]" if brief else f" ({ends})"
    if bd_rate.images_percent is not None:
        mean = format_number(bd_rate.images_percent, "+.1f" if brief else "+.2f")
        interval += f"/{mean}" if brief else f" {MEAN_MARK} {mean}"
    by = f" {bd_rate.by}" if bd_rate.by else ""
    return f"{value}{interval}{by}{f' {PUBLISHED_MARK}' if bd_rate.published else ''}"


def format_ends(ends: tuple[float, float] | None) -> str | None:
    """Return "−13.0 to −9.6"; None where there is no range."""
    return None if ends is None else " to ".join(format_number(end, "+.1f") for end in ends)


def decode_ratio_text(cost: Cost | None) -> str | None:
    """Return decode time against the baseline: "1.28", "≈ 1.01" where they don't differ."""
    if cost is None or cost.decode_ratio is None:
        return None
    text = format_number(cost.decode_ratio, ".2f")
    return f"{SAME} {text}" if cost.decode_interval is not None and not cost.decode_differs else text


def decode_kmac_cell(cost: Cost | None) -> float | str | None:
    """Return the decoder's operations; "≥ 192" where one could not be counted."""
    if cost is None:
        return None
    return mark_lower_bound(cost.decode_kmac_per_pixel, cost.kmac_is_lower_bound, digits=0)


def claims_text(row: AnswerRow) -> str | None:
    """Return "5 / 0 / 13": supported, refuted, open; None where no claim is about it."""
    counts = (row.supported, row.refuted, row.open)
    return " / ".join(map(str, counts)) if any(counts) else None


def elsewhere_text(row: AnswerRow) -> str | None:
    """Return "22/24, exact 24/24": files that decode elsewhere, of those tried; None where none were."""
    texts = (f"{'' if configuration == DEFAULT else f'{configuration} '}{found.alike}/{found.files}"
             for configuration, found in row.elsewhere.items())
    return ", ".join(texts) or None


def list_costs_of_others(rows: Iterable[AnswerRow]) -> dict[str, list[str]]:
    """Return the codecs whose costs are those of another one with the same model, by that one's name."""
    others: dict[str, list[str]] = {}
    for row in rows:
        if row.costs and row.costs[0].model != row.name:
            others.setdefault(row.costs[0].model, []).append(row.label)
    return others


def describe_places(rows: Iterable[AnswerRow], machine: Machine = "") -> str:
    """Say where the costs that are shown of ``rows`` were measured, and of which codecs where these are several places.

    Args:
        machine: whose times go before those of others.
    """
    places: dict[str, list[str]] = {}
    for row in rows:
        cost = choose_cost(row, machine)
        if cost is not None:
            weights = "synthetic weights" if cost.weights == "synthetic" else cost.weights
            places.setdefault(f"{cost.device}, {cost.shape}, {weights}", []).append(row.label)

    if len(places) < 2:
        return "".join(places)
    *few, most = sorted(places, key=lambda place: len(places[place]))
    return "; ".join([*(f"{place} ({', '.join(places[place])})" for place in few), f"{most} (all others)"])

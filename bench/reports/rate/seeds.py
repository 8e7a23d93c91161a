"""What runs of the baseline with other seeds say about small differences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.common.text import format_count, format_number
from bench.metrics.statistics.noise import run_noise
from bench.reports.rate.comparison import Subject, compare
from bench.reports.rate.curves import MEASURED

BASE = "hpcm_base_mini"
SEED = re.compile(r"hpcm_base_seed\d+_mini")


def seed_notes(anchors: Sequence[Subject], tests: Sequence[Subject]) -> list[str]:
    """Say how far other seeds of the baseline are from it, where both were measured; else return nothing."""
    base = next((one for one in anchors if one.name == BASE and one.origin == MEASURED), None)
    seeds = [one for one in tests if SEED.fullmatch(one.name) and one.origin == MEASURED]
    if base is None or not seeds:
        return []
    found = {one.label: compare(base, one).bd_rate_percent for one in seeds}
    known = [value for value in found.values() if value is not None]
    texts = {label: "N/A" if value is None else f"{format_number(value, '+.2f')} %" for label, value in found.items()}
    listed = ", ".join(f"{label} {text}" for label, text in texts.items())
    degrees = format_count(len(known), "degree")
    text = f"Noise between runs: trained alike but for the seed, BD-rates by PSNR against {base.label} are {listed}."
    if known:
        noise = run_noise([0.0, *known])
        text += (f" Over these {noise.runs} runs, {base.label} being 0 %, the standard deviation is "
                 f"{noise.deviation:.2f} %; the 95 % half-width for a difference of two single runs is "
                 f"{noise.half_width:.2f} % (Student's t of {degrees} of freedom, times the root of two, times the "
                 f"standard deviation). Differences to {base.label} smaller than that say nothing about the variants.")
    return [text]


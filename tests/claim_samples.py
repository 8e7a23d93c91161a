"""Results of claims made by hand: every verdict, changes, pairs of curves, and text that formats stumble over."""

from __future__ import annotations

import numpy as np

from bench.claims.catalogue import Claim
from bench.claims.change import Change
from bench.claims.result import ClaimsResult, Judgement, PairComparison
from bench.curves.rd_curve import Points, RDCurve, average_points
from bench.metrics.statistics.image_spread import ImageSpread
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, REFUTED, REPRODUCED, SUPPORTED, UNDECIDED
from bench.reports.claims.report import assemble_claims
from bench.reports.claims.text import Names

NAMES = Names({"rwkv_phase1": "RWKV-1", "hpcm_base": "HPCM-Base", "multiref_phase1": "MultiRef-1"},
              {"hpcm_base": "HPCM", "multiref_phase1": "Multi-reference", "rwkv_phase1": "RWKV"})
NASTY = 'a|b <i>c</i> & 50 % of "d_e", `f` $g$ #1 {h} ~ ^ \\ *i* [j](k)'
RATES = (0.1, 0.25, 0.5, 1.0, 1.8)


def claim(name: str, variant: str = "rwkv_phase1", metric: str = "total_time", **values) -> Claim:
    values = {"versus": "hpcm_base", "change_percent": (-20.0, -10.0), "kind": "predicted", "source": "A_README",
              **values}
    return Claim(name=name, variant=variant, metric=metric, **values)


def judged(name: str, verdict: str, value: float | None = None, **values) -> Judgement:
    about = {key: values.pop(key) for key in ("variant", "metric", "change_percent", "versus", "part", "kind",
                                              "contradicts", "setting") if key in values}
    about |= {"value": values.pop("claimed"), "change_percent": None} if "claimed" in values else {}
    interval = None if value is None else (value - 1, value + 1)
    return Judgement(claim(name, **about), verdict, **{"reason": f"because of {name}", "value": value,
                                                       "interval": interval, "where": "cpu, 768x512", **values})


JUDGEMENTS = (
    judged("hpcm_parameters", REPRODUCED, variant="hpcm_base", metric="parameters", claimed=(68.5, 68.5), versus=None,
           kind="measured", evidence="rows"),
    judged("rwkv_time", SUPPORTED, -15.25, n=12, what_n="rounds", p_value=0.001, adjusted_p=0.004),
    judged("rwkv_time_other", REFUTED, 3.5, n=12, what_n="rounds", contradicts=("rwkv_time",), reason=NASTY,
           command="python -m bench profile \"x|y\""),
    judged("rwkv_memory", UNDECIDED, -12.0, metric="memory", detectable=4.25),
    judged("rwkv_decode", INVALID, metric="decode_time", interval=None),
    judged("rwkv_training", NOT_MEASURED, metric="training_time"),
    judged("multiref_rate", NOT_MEASURED, variant="multiref_phase1", metric="bd_rate"),
    judged("rwkv_time", REFUTED, 2.0, miniature=True, where="cpu, 768x512, miniature"),
)
CHANGES = (
    Change("decode time", "RWKV-1 decode at 768x512", "81.0 ms", "76.2 ms", False, "context s3 takes less"),
    Change("rate", "RWKV-1 | kodak", "0.500 bpp", "0.505 bpp", True, "rate rose on 24 images <most: kodim03>"),
)


def image_curve(seed: int, factor: float) -> Points:
    """Points of one image: its own quality level, rates times ``factor``."""
    level = np.random.default_rng(seed).uniform(-2, 2)
    quality = tuple(36 + level + 6 * float(np.log2(rate)) for rate in RATES)
    return Points(tuple(factor * rate for rate in RATES), {"psnr": quality})


def rd_curve(name: str, factors: dict[str, float]) -> RDCurve:
    per_image = {image: image_curve(seed, factor) for seed, (image, factor) in enumerate(factors.items())}
    return RDCurve("kodak", name, f"Codec {name}", average_points(list(per_image.values())), per_image=per_image,
                   images=len(per_image))


def pair(count: int = 6, interval: tuple[float, float] | None = (-3.0, 12.5), **values) -> PairComparison:
    names = [f"kodim{index:02d}" for index in range(count)]
    anchor = rd_curve("anchor", dict.fromkeys(names, 1.0))
    test = rd_curve("test", {name: 0.8 + 0.1 * index for index, name in enumerate(names)})
    percents = tuple(100 * (0.8 + 0.1 * index - 1) for index in range(count))
    spread = None if interval is None else ImageSpread(5.0, interval, float(np.mean(percents)), (-4.0, 11.0), 5.5,
                                                       (3.0, 7.0), count, count)
    return PairComparison(**{
        "title": "Codec test against Codec anchor", "dataset": "kodak", "metric": "psnr", "anchor": anchor,
        "test": test,
        "value_percent": 5.0, "images": tuple(names), "per_image_percent": percents, "spread": spread,
        "drop_one": (4.0, 6.0), "share_improved": 0.25, **values})


RESULT = ClaimsResult(JUDGEMENTS, (pair(), pair(title="Mini test against mini anchor", miniature=True)), CHANGES,
                      ("A remark on the run.",), "Corrected by Holm over 7 claims.")


def table_of(result: ClaimsResult, name: str):
    report = assemble_claims(result, NAMES)
    return next(table for table in report.tables if table.name == name)

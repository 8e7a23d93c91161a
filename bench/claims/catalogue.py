"""Reads claims.yaml: what the authors of the variants say about them, as numbers that can be compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from bench.common.entries import Entry, WrongKey, read_entries
from bench.common.folders import default_file
from bench.common.text import suggest_name
from bench.curves.anchors.catalogue import list_curves
from bench.datasets.catalogue import load_catalogue
from bench.metrics.quality import METRICS, PSNR, QualityMetric

PREDICTED, MEASURED = "predicted", "measured"  # by the authors
CODECS = ("vtm", "bpg", "jpeg2000")  # that claims of rate are about, or compare with, beside variants
OTHER = "other"  # the metric of claims that no measurement of a codec can decide
COST_UNITS = {  # metric: the unit of its absolute values
    "encode_time": "ms", "decode_time": "ms", "total_time": "ms", "training_time": "h", "memory": "GB",
    "parameters": "M", "macs": "kMAC/pixel",
}
PORTABILITY = {  # metric: the percentage of files that it is claimed of, all or none
    "decodes_elsewhere": 100.0,  # whose latents come out identical under other settings of decoding
    "wrong_elsewhere": 0.0,  # of which a decoder makes another picture without an error
}
EXACT = "exact"  # the setting of claims about a variant's exact configuration
RANGES = {  # metric: how its figures may be given
    "bd_rate": ("change_percent",), "bd_quality": ("change",), "quality": ("value",),
    **dict.fromkeys(COST_UNITS, ("change_percent", "value")), **dict.fromkeys(PORTABILITY, ("value",)),
    OTHER: ("change_percent", "change", "value"),
}
COMPARED_RATES = ("bd_rate", "bd_quality")
OF_QUALITY = (*COMPARED_RATES, "quality")  # claims that go by a quality metric
ONLY_OF = {  # key: the metrics that have it
    "at_bpp": ("quality",), "what": (OTHER,), "published": ("bd_rate",), "dataset": (*OF_QUALITY, *PORTABILITY, OTHER),
    "by": OF_QUALITY, "unit": (OTHER,),
}
NEEDS = {"quality": "at_bpp", OTHER: "what"}
Text = Annotated[str, Meta(pattern=r"\S", description="text")]
Subject = Annotated[str, Meta(description="the name of a variant or a codec")]
Range = Annotated[tuple[float, float], Meta(description="[low, high], two numbers")]


class Claim(Entry, frozen=True, kw_only=True):
    """One entry of claims.yaml; its keys are explained at the top of that file.

    Exactly one of ``change_percent``, ``change`` and ``value`` is given: (low, high), which are equal for a
    single figure.
    """

    variant: Subject
    versus: Subject | None = None
    metric: Annotated[str, Meta(pattern=rf"\A({'|'.join(RANGES)})\Z", description=f"one of {', '.join(RANGES)}")]
    change_percent: Range | None = None
    change: Range | None = None
    value: Range | None = None
    by: Annotated[str, Meta(description="the name of a quality metric")] | None = None
    at_bpp: Annotated[float, Meta(gt=0, description="a positive number")] | None = None
    dataset: Annotated[Text | tuple[Text, ...], Meta(description="one or a list of datasets")] = ()
    what: Text = ""
    own_unit: Text = field(default="", name="unit")
    part: Text | None = None
    setting: Text | None = None
    published: Annotated[str, Meta(description="the name of a published curve")] | None = None
    kind: Literal["predicted", "measured"]  # by the authors
    source: Text
    contradicts: Annotated[tuple[Text, ...], Meta(description="a list of different claims")] = ()
    note: Text = ""

    def __post_init__(self) -> None:
        for key, names in (("dataset", self.datasets), ("contradicts", self.contradicts)):
            if len(set(names)) < len(names):
                raise WrongKey(f"'{key}' names one twice", key)
        self._check_figures()
        self._check_keys()

    def _check_figures(self) -> None:
        """Check that there is one range, in a form that the metric has, against something if it is a change."""
        given = {key: bounds for key in RANGES[OTHER] if (bounds := getattr(self, key)) is not None}
        if len(given) != 1:
            raise WrongKey("must have one of 'change_percent', 'change' and 'value'")
        (key, (low, high)), = given.items()
        if low > high:
            raise WrongKey(f"'{key}' must be [low, high], two numbers", key)
        if key not in RANGES[self.metric]:
            known = " or ".join(map(repr, RANGES[self.metric]))
            raise WrongKey(f"{self.metric} is given as {known}, not '{key}'", key)
        if key == "value" and self.versus is not None:
            raise WrongKey("an absolute figure has no 'versus'", key)
        if key != "value" and self.versus is None and self.metric != OTHER:
            raise WrongKey("is a change, so it needs 'versus'", key)
        if self.metric in PORTABILITY and {low, high} != {PORTABILITY[self.metric]}:
            only = PORTABILITY[self.metric]
            raise WrongKey(f"{self.metric} is claimed of {'all' if only else 'no'} files: [{only:g}, {only:g}]", key)

    def _check_keys(self) -> None:
        """Check that a claim has the keys that its metric needs, and none of other metrics."""
        given = {"at_bpp": self.at_bpp, "what": self.what, "published": self.published, "dataset": self.datasets,
                 "by": self.by, "unit": self.own_unit}
        for key, metrics in ONLY_OF.items():
            if given[key] and self.metric not in metrics:
                raise WrongKey(f"{self.metric} has no '{key}'", key, hint=f"only {', '.join(metrics)}")
        if self.metric in NEEDS and not given[NEEDS[self.metric]]:
            raise WrongKey(f"{self.metric} needs '{NEEDS[self.metric]}'")
        if self.by is not None and self.by not in METRICS:
            raise WrongKey(f"'{self.by}' is no quality metric", "by", hint=suggest_name(self.by, METRICS))
        if self.published and not self.datasets:
            raise WrongKey("a published curve is of a 'dataset'", "published")

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those that the claim is about; none where the authors name none."""
        return (self.dataset,) if isinstance(self.dataset, str) else self.dataset

    @property
    def bounds(self) -> tuple[float, float]:
        """The claimed range, (low, high)."""
        return next(one for one in (self.change_percent, self.change, self.value) if one is not None)

    @property
    def quality_metric(self) -> QualityMetric:
        """The quality metric that a claim of rate or quality goes by; PSNR unless it names another."""
        return METRICS.get(self.by or PSNR.name)

    @property
    def unit(self) -> str:
        """That of the claimed range; empty where ``what`` says what is counted."""
        if self.change_percent is not None:
            return "%"
        if self.metric == "bd_quality":
            return self.quality_metric.on_curves.unit
        if self.metric == "quality":
            return self.quality_metric.scale.unit
        if self.metric in PORTABILITY:
            return "%"
        return COST_UNITS.get(self.metric, self.own_unit)

    @property
    def lower_is_better(self) -> bool:
        """Whether less of the metric is a gain."""
        if self.metric == "quality":
            return not self.quality_metric.higher_is_better
        return self.metric not in ("bd_quality", "decodes_elsewhere")

    @property
    def weaker_end(self) -> float:
        """The end of the claimed range that is easier to satisfy."""
        low, high = self.bounds
        return high if self.lower_is_better else low


def load_claims(path: Path | None = None, variants: Collection[str] | None = None) -> dict[str, Claim]:
    """Read and check claims.yaml: by default ``BENCH_CLAIMS``, else the checkout's.

    Args:
        variants: names that claims may be about; None doesn't check them.

    Raises:
        ConfigurationError: the file is missing, malformed, or an entry is wrong; the message says where.
    """
    claims = read_entries(path or default_file("claims.yaml"), Claim, "claim", "claims")
    datasets = load_catalogue()
    for name, claim in claims.items():
        try:
            _require_known(claim, claims, datasets, variants)
        except WrongKey as wrong:
            raise claims.error(name, wrong) from None
    return claims


def _require_known(claim: Claim, claims: Mapping[str, Claim], datasets: Collection[str],
                   variants: Collection[str] | None) -> None:
    """Check that what a claim names exists and can be compared so, and that contradictions are mutual."""
    for key, about in (("variant", claim.variant), ("versus", claim.versus)):
        if about in CODECS:
            if claim.metric not in COMPARED_RATES:
                raise WrongKey(f"'{about}' is a codec, whose {claim.metric} is not compared", key,
                               hint=f"codecs only with {' and '.join(COMPARED_RATES)}")
        elif variants is not None and about is not None and about not in variants:
            raise WrongKey(f"'{about}' is no variant and no codec", key,
                           hint=suggest_name(about, (*variants, *CODECS)))

    for name in claim.datasets:
        if name not in datasets:
            raise WrongKey(f"'dataset': '{name}' is none of datasets.yaml", "dataset",
                           hint=suggest_name(name, datasets))

    known = [curve for name in claim.datasets for curve in list_curves(name)]
    if claim.published and claim.published not in known:
        where = " or ".join(claim.datasets)
        raise WrongKey(f"'published': '{claim.published}' is no curve that is published on {where}", "published",
                       hint=suggest_name(claim.published, known, "python -m bench anchors list"))

    for other in claim.contradicts:
        if other == claim.name or other not in claims or claim.name not in claims[other].contradicts:
            raise WrongKey(f"contradicts '{other}', which is no other claim that contradicts it", "contradicts",
                           hint="link both with each other")

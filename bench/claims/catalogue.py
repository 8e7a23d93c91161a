"""Reads claims.yaml: what the authors of the variants say about them, as numbers that can be compared."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.common.errors import ConfigurationError
from bench.common.folders import repository_root
from bench.common.yaml_files import LinedMapping, check_entry, read_yaml

PREDICTED, MEASURED = "predicted", "measured"  # by the authors
KINDS = (PREDICTED, MEASURED)
CODECS = ("vtm", "bpg", "jpeg2000")  # that claims of rate are about, or compare with, beside variants
DATASETS = ("kodak", "clic2020", "tecnick")
OTHER = "other"  # the metric of claims that no measurement of a codec can decide
COST_UNITS = {  # metric: the unit of its absolute values
    "encode_time": "ms", "decode_time": "ms", "total_time": "ms", "training_time": "h", "memory": "GB",
    "parameters": "M", "macs": "kMAC/pixel",
}
RANGES = {  # metric: how its figures may be given
    "bd_rate": ("change_percent",), "bd_psnr": ("change_db",), "psnr": ("value",),
    **dict.fromkeys(COST_UNITS, ("change_percent", "value")),
    OTHER: ("change_percent", "change_db", "value"),
}
COMPARED_RATES = ("bd_rate", "bd_psnr")
HIGHER_IS_BETTER = ("bd_psnr", "psnr")
ONLY_OF = {  # key: the metrics that have it
    "at_bpp": ("psnr",), "what": (OTHER,), "published": ("bd_rate",), "dataset": (*COMPARED_RATES, "psnr", OTHER),
}
NEEDS = {"psnr": "at_bpp", OTHER: "what"}


@dataclass(frozen=True)
class Claim:
    """One entry of claims.yaml; its fields are explained at the top of that file.

    Exactly one of ``change_percent``, ``change_db`` and ``value`` is given: (low, high), which are equal for a
    single figure.
    """

    name: str
    variant: str
    metric: str
    kind: str
    source: str
    versus: str | None = None
    change_percent: tuple[float, float] | None = None
    value: tuple[float, float] | None = None
    part: str | None = None
    setting: str | None = None
    contradicts: tuple[str, ...] = ()
    note: str = ""
    change_db: tuple[float, float] | None = None
    datasets: tuple[str, ...] = ()  # none: the authors name none
    at_bpp: float | None = None
    what: str = ""
    published: str | None = None
    where: str = ""  # file and line, for messages

    @property
    def bounds(self) -> tuple[float, float]:
        """The claimed range, (low, high)."""
        return next(one for one in (self.change_percent, self.change_db, self.value) if one is not None)

    @property
    def unit(self) -> str:
        """That of the claimed range; empty where ``what`` says what is counted."""
        if self.change_percent is not None:
            return "%"
        if self.change_db is not None or self.metric in HIGHER_IS_BETTER:
            return "dB"
        return COST_UNITS.get(self.metric, "")

    @property
    def lower_is_better(self) -> bool:
        """Whether less of the metric is a gain."""
        return self.metric not in HIGHER_IS_BETTER

    @property
    def weaker_end(self) -> float:
        """The end of the claimed range that is easier to satisfy."""
        low, high = self.bounds
        return high if self.lower_is_better else low


def claims_file() -> Path:
    """The file of claims: ``BENCH_CLAIMS``, else the checkout's claims.yaml."""
    return Path(os.environ.get("BENCH_CLAIMS") or repository_root() / "claims.yaml")


def load_claims(path: Path | None = None, variants: Collection[str] | None = None) -> dict[str, Claim]:
    """Read and check claims.yaml.

    Args:
        variants: names that claims may be about; None doesn't check them.

    Raises:
        ConfigurationError: the file is missing, malformed, or an entry is wrong; the message says where.
    """
    path = path or claims_file()
    content = read_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("claims"), dict):
        raise ConfigurationError(f"{path} must hold a mapping 'claims'")
    entries = content["claims"]
    claims = {str(name): _claim(str(name), entry, path, entries.line_of(name)) for name, entry in entries.items()}
    for name, claim in claims.items():
        _check_names(claim, entries[name], path, variants)
        _check_contradictions(claim, entries[name], path, claims)
    return claims


def _check_names(claim: Claim, entry: LinedMapping, path: Path, variants: Collection[str] | None) -> None:
    """Check that what a claim is about, and what it compares with, exists and can be compared so."""
    for key in ("variant", "versus"):
        about = getattr(claim, key)
        where = f"{path}:{entry.line_of(key)}: claim '{claim.name}'"
        if about in CODECS:
            if claim.metric not in COMPARED_RATES:
                raise ConfigurationError(f"{where}: '{about}' is a codec, whose {claim.metric} is not compared",
                                         f"codecs only with {' and '.join(COMPARED_RATES)}")
        elif variants is not None and about is not None and about not in variants:
            raise ConfigurationError(f"{where}: '{about}' is no variant and no codec",
                                     f"known: {', '.join((*variants, *CODECS))}")


def _check_contradictions(claim: Claim, entry: LinedMapping, path: Path, claims: Mapping[str, Claim]) -> None:
    for other in claim.contradicts:
        if other == claim.name or other not in claims or claim.name not in claims[other].contradicts:
            raise ConfigurationError(f"{path}:{entry.line_of('contradicts')}: claim '{claim.name}' contradicts "
                                     f"'{other}', which is no other claim that contradicts it",
                                     "link both with each other")


def _claim(name: str, entry: Any, path: Path, line: int) -> Claim:
    check_entry(entry, f"claim '{name}'", ("variant", "metric", "kind", "source"), CHECKS, path, line)
    _check_figures(name, entry, path, line)
    _check_keys(name, entry, path, line)
    values = {key: tuple(map(float, entry[key])) if key in RANGES[OTHER] else value
              for key, value in entry.items() if key != "dataset"}
    datasets = entry.get("dataset", [])
    return Claim(**{**values, "name": name, "contradicts": tuple(entry.get("contradicts", ())),
                    "datasets": (datasets,) if isinstance(datasets, str) else tuple(datasets),
                    "where": f"{path}:{line}"})


def _check_figures(name: str, entry: LinedMapping, path: Path, line: int) -> None:
    """Check that there is one range, in a form that the metric has, against something if it is a change."""
    given = [key for key in RANGES[OTHER] if key in entry]
    if len(given) != 1:
        raise ConfigurationError(f"{path}:{line}: claim '{name}' must have one of 'change_percent', 'change_db' and"
                                 " 'value'")
    key, metric = given[0], entry["metric"]
    where = f"{path}:{entry.line_of(key)}: claim '{name}'"
    if key not in RANGES[metric]:
        raise ConfigurationError(f"{where}: {metric} is given as {' or '.join(map(repr, RANGES[metric]))},"
                                 f" not '{key}'")
    if key == "value" and "versus" in entry:
        raise ConfigurationError(f"{where}: an absolute figure has no 'versus'")
    if key != "value" and "versus" not in entry and metric != OTHER:
        raise ConfigurationError(f"{where} is a change, so it needs 'versus'")


def _check_keys(name: str, entry: LinedMapping, path: Path, line: int) -> None:
    """Check that a claim has the keys that its metric needs, and none of other metrics."""
    metric = entry["metric"]
    for key, metrics in ONLY_OF.items():
        if key in entry and metric not in metrics:
            raise ConfigurationError(f"{path}:{entry.line_of(key)}: claim '{name}': {metric} has no '{key}'",
                                     f"only {', '.join(metrics)}")
    if metric in NEEDS and NEEDS[metric] not in entry:
        raise ConfigurationError(f"{path}:{line}: claim '{name}': {metric} needs '{NEEDS[metric]}'")
    if "published" in entry and "dataset" not in entry:
        raise ConfigurationError(f"{path}:{entry.line_of('published')}: claim '{name}': a published curve is of a"
                                 " 'dataset'")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")


def _range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value)) and value[0] <= value[1]


def _names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value)) and len(set(value)) == len(value)


def _datasets(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return _names(names) and set(names) <= set(DATASETS)


CHECKS = {  # key: what its value must be, as a test and in words
    "variant": (_text, "the name of a variant or a codec"),
    "versus": (_text, "the name of a variant or a codec"),
    "metric": (tuple(RANGES).__contains__, f"one of {', '.join(RANGES)}"),
    "change_percent": (_range, "[low, high], two numbers"),
    "change_db": (_range, "[low, high], two numbers"),
    "value": (_range, "[low, high], two numbers"),
    "at_bpp": (lambda value: _number(value) and value > 0, "a positive number"),
    "dataset": (_datasets, f"one or a list of {', '.join(DATASETS)}"),
    "what": (_text, "text"),
    "part": (_text, "text"),
    "setting": (_text, "text"),
    "published": (_text, "the name of a published curve"),
    "kind": (KINDS.__contains__, f"one of {', '.join(KINDS)}"),
    "source": (_text, "text"),
    "contradicts": (_names, "a list of different claims"),
    "note": (_text, "text"),
}

"""Reads claims.yaml: what the authors of the variants say about them, as numbers that can be compared."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import ConfigurationError
from bench.folders import repository_root
from bench.lined_yaml import LinedMapping, read_yaml

UNITS = {  # metric: the unit of its absolute values
    "encode_time": "ms", "decode_time": "ms", "total_time": "ms", "training_time": "h", "memory": "GB",
    "parameters": "M", "macs": "kMAC/pixel",
}
PREDICTED, MEASURED = "predicted", "measured"  # by the authors
KINDS = (PREDICTED, MEASURED)


@dataclass(frozen=True)
class Claim:
    """One entry of claims.yaml; its fields are explained at the top of that file.

    Exactly one of ``change_percent`` and ``value`` is given: (low, high), which are equal for a single figure.
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
    where: str = ""  # file and line, for messages

    @property
    def unit(self) -> str:
        """That of the claimed range."""
        return "%" if self.change_percent is not None else UNITS[self.metric]


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
        entry = entries[name]
        for key in ("variant", "versus"):
            about = getattr(claim, key)
            if variants is not None and about is not None and about not in variants:
                raise ConfigurationError(f"{path}:{entry.line_of(key)}: claim '{name}': '{about}' is no variant",
                                         f"known: {', '.join(variants)}")
        for other in claim.contradicts:
            if other not in claims or name not in claims[other].contradicts:
                raise ConfigurationError(f"{path}:{entry.line_of('contradicts')}: claim '{name}' contradicts '{other}',"
                                         " which is no claim that contradicts it", "link both with each other")
    return claims


def _claim(name: str, entry: Any, path: Path, line: int) -> Claim:
    if not isinstance(entry, LinedMapping):
        raise ConfigurationError(f"{path}:{line}: claim '{name}' must be a mapping")
    for key in ("variant", "metric", "kind", "source"):
        if key not in entry:
            raise ConfigurationError(f"{path}:{line}: claim '{name}' lacks '{key}'")
    for key, value in entry.items():
        where = f"{path}:{entry.line_of(key)}: claim '{name}'"
        if key not in CHECKS:
            raise ConfigurationError(f"{where} has the unknown key '{key}'", f"known: {', '.join(CHECKS)}")
        good, expected = CHECKS[key]
        if not good(value):
            raise ConfigurationError(f"{where}: '{key}' must be {expected}, got {value!r}")
    if ("change_percent" in entry) == ("value" in entry):
        raise ConfigurationError(f"{path}:{line}: claim '{name}' must have one of 'change_percent' and 'value'")
    if "change_percent" in entry and "versus" not in entry:
        raise ConfigurationError(f"{path}:{entry.line_of('change_percent')}: claim '{name}' is a change, so it needs"
                                 " 'versus'")
    ranges = {key: tuple(map(float, entry[key])) for key in ("change_percent", "value") if key in entry}
    return Claim(**{**entry, **ranges, "name": name, "contradicts": tuple(entry.get("contradicts", ())),
                    "where": f"{path}:{line}"})


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _range(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2 and all(type(one) in (int, float) for one in value)
    return numbers and abs(value[0]) < float("inf") and value[0] <= value[1] < float("inf")


def _names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


CHECKS = {  # key: what its value must be, as a test and in words
    "variant": (_text, "the name of a variant"),
    "versus": (_text, "the name of a variant"),
    "metric": (tuple(UNITS).__contains__, f"one of {', '.join(UNITS)}"),
    "change_percent": (_range, "[low, high], two numbers"),
    "value": (_range, "[low, high], two numbers"),
    "part": (_text, "text"),
    "setting": (_text, "text"),
    "kind": (KINDS.__contains__, f"one of {', '.join(KINDS)}"),
    "source": (_text, "text"),
    "contradicts": (_names, "a list of claims"),
    "note": (_text, "text"),
}

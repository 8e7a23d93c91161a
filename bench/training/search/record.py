"""The record of one training of a search, as its folder holds it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from bench.common.errors import ConfigurationError
from bench.common.whole_files import whole

FILE = "trial.json"
COMPLETE, PRUNED, FAILED = STATES = ("complete", "pruned", "failed")

Setting = tuple[tuple[str, float], ...]  # names and values, in order of name


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        lambda_: weight of the distortion.
        parameters: what was searched, by name.
        state: "complete", "pruned" (given up because others were better) or "failed".
        steps: optimiser steps made.
        loss, bpp, psnr_db: held-out D + R, rate and quality at the best validation; None without one.
        reason: why it was pruned or failed.
        variant, metric: what was trained, and for what.
        own: the recipe's own values of ``parameters``.
        training: digest of what trials at one λ must share to be compared; empty: not known.
        place: its folder, for tables.
    """

    lambda_: float
    parameters: Mapping[str, float]
    state: str
    steps: int
    loss: float | None = None
    bpp: float | None = None
    psnr_db: float | None = None
    reason: str = ""
    variant: str = ""
    metric: str = "mse"
    own: Mapping[str, float] = field(default_factory=dict)
    training: str = ""
    place: str = ""

    @property
    def setting(self) -> Setting:
        return setting_of(self.parameters)


def setting_of(parameters: Mapping[str, float]) -> Setting:
    """Parameters as something that can be a key."""
    return tuple(sorted((name, float(value)) for name, value in parameters.items()))


def told(setting: Setting) -> str:
    """"gamma 0.003, weight_rate 0.025"."""
    return ", ".join(f"{name} {value:g}" for name, value in setting)


def write_trial(folder: Path, trial: Trial) -> None:
    """Write ``trial`` to its folder, whole or not at all."""
    plain = {"lambda" if key == "lambda_" else key: value for key, value in asdict(trial).items() if key != "place"}
    with whole(folder / FILE) as temporary:
        temporary.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def read_trial(path: Path) -> Trial:
    """Read one ``trial.json``.

    Raises:
        ConfigurationError: it is damaged, or lacks something.
    """
    try:
        plain = json.loads(path.read_text())
        known = {one.name for one in fields(Trial)} - {"place", "lambda_"}
        trial = Trial(lambda_=float(plain["lambda"]), **{key: plain[key] for key in plain if key in known},
                      place=str(path.parent))
        trial.setting  # noqa: B018 - numbers, or it raises
        if trial.state not in STATES or (trial.state == COMPLETE and not _measured(trial)):
            raise ValueError(f"state '{trial.state}' with loss {trial.loss}, {trial.bpp} bpp, {trial.psnr_db} dB")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"{path} is no record of a trial: {error}", "repair or remove it") from None
    return trial


def _measured(trial: Trial) -> bool:
    return all(value is not None and math.isfinite(value) for value in (trial.loss, trial.bpp, trial.psnr_db))


def read_trials(folder: Path) -> list[Trial]:
    """Read every trial below ``folder``.

    Raises:
        ConfigurationError: there is none, or one is damaged.
    """
    trials = [read_trial(path) for path in sorted(folder.rglob(FILE))]
    if not trials:
        raise ConfigurationError(f"there is no trial below {folder}", f"trials are folders with a {FILE}")
    return trials

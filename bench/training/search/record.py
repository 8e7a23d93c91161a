"""The record of one training of a search, as its folder holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from bench.common.errors import ConfigurationError
from bench.common.files import match_files, reading, write_whole
from bench.results.schema import Number, convert_values, parse_object
from bench.results.stored import TRIAL

TrialEnd = Literal["complete", "pruned", "failed"]
COMPLETE: Literal["complete"] = "complete"
PRUNED: Literal["pruned"] = "pruned"
FAILED: Literal["failed"] = "failed"

Setting = tuple[tuple[str, float], ...]  # names and values, in order of name


class Trial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"lambda_": "lambda"}):
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
        place: its folder, for tables; not stored.
    """

    lambda_: Number
    parameters: dict[str, Number]
    state: TrialEnd
    steps: int
    loss: Number | None = None
    bpp: Number | None = None
    psnr_db: Number | None = None
    reason: str = ""
    variant: str = ""
    metric: str = "mse"
    own: dict[str, Number] = {}
    training: str = ""
    place: str = ""

    def __post_init__(self) -> None:
        if self.state == COMPLETE and None in (self.loss, self.bpp, self.psnr_db):
            raise ValueError(f"complete with loss {self.loss}, {self.bpp} bpp, {self.psnr_db} dB")

    @property
    def setting(self) -> Setting:
        """Its parameters as something that can be a key."""
        return make_setting(self.parameters)


def make_setting(parameters: Mapping[str, float]) -> Setting:
    """Parameters as something that can be a key."""
    return tuple(sorted((name, float(value)) for name, value in parameters.items()))


def describe_setting(setting: Setting) -> str:
    """"gamma 0.003, weight_rate 0.025"."""
    return ", ".join(f"{name} {value:g}" for name, value in setting)


def write_trial(folder: Path, trial: Trial) -> None:
    """Write ``trial`` to its folder, whole or not at all."""
    stored = msgspec.json.encode(msgspec.structs.replace(trial, place=""))
    write_whole(folder / TRIAL, msgspec.json.format(stored, indent=1) + b"\n")


def read_trial(path: Path) -> Trial:
    """Read one ``trial.json``.

    Raises:
        ConfigurationError: it is damaged, or lacks something.
        PlaceError: it can't be read.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        trial = convert_values(parse_object(content), Trial)
    except ValueError as error:
        raise ConfigurationError(f"{path} is no record of a trial: {error}", "repair or remove it") from None
    return msgspec.structs.replace(trial, place=str(path.parent))


def read_trials(folder: Path) -> list[Trial]:
    """Read every trial below ``folder``.

    Raises:
        ConfigurationError: there is none, or one is damaged.
    """
    trials = [read_trial(path) for path in match_files(folder, f"**/{TRIAL}")]
    if not trials:
        raise ConfigurationError(f"there is no trial below {folder}", f"trials are folders with a {TRIAL}")
    return trials

"""Which settings this machine has, and what they change of a unit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.common.errors import ConfigurationError
from bench.results.decoding_settings import SAME, SETTINGS, DecodingSetting
from bench.results.machines import find_flags
from bench.runners.evaluate.unit import Unit
from bench.runners.machine import resolve_device
from bench.runners.machine_share import usable_cores

ALL = "all"


@dataclass(frozen=True)
class ChosenSettings:
    """What was asked for.

    Attributes:
        names: of those that are here.
        missing: the others, with the reason.
        named: the user named what is missing; else it came with ``all``.
    """

    names: tuple[str, ...]
    missing: Mapping[str, str]
    named: bool


def choose_settings(names: Sequence[str], device: str = "cpu", threads: int | None = None) -> ChosenSettings:
    """Return the settings called ``names``, or all that are not as usual where ``all`` is among them.

    Args:
        device, threads: the usual ones; None leaves threads to torch.

    Raises:
        ConfigurationError: there is no such setting, or this machine has none of them.
    """
    wanted = dict.fromkeys(SETTINGS if ALL in names else names)
    if ALL in names:
        usual = device, threads or find_usual_threads()
        wanted = dict.fromkeys(name for name in wanted if name == SAME or not _is_usual(SETTINGS.get(name), *usual))
    reasons = {name: _explain_missing(name) for name in wanted}
    missing = {name: reason for name, reason in reasons.items() if reason is not None}
    here = tuple(name for name in wanted if name not in missing)
    if not here:
        raise ConfigurationError("this machine has none of the settings to decode on",
                                 "\n  ".join(f"{name}: {reason}" for name, reason in missing.items()))
    return ChosenSettings(here, missing, ALL not in names and bool(missing))


def require_setting(name: str) -> str:
    """Return the name of a setting that this machine has.

    Raises:
        ConfigurationError: there is no such setting, or not here.
    """
    reason = _explain_missing(name)
    if reason is not None:
        raise ConfigurationError(f"this machine has no setting '{name}': {reason}")
    return name


def apply_setting(unit: Unit, name: str) -> Unit:
    """Return ``unit`` as it runs under a setting, beside what is in its environment."""
    setting = SETTINGS.get(name)
    unit = replace(unit, device=setting.device or unit.device, threads=setting.threads or unit.threads)
    return replace(unit, spec=unit.on_device)


def find_usual_threads() -> int:
    """Return how many threads torch takes, most likely, where nobody says."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() else usable_cores()


def _is_usual(setting: DecodingSetting, device: str, threads: int) -> bool:
    same_device = setting.device in (None, device)
    return same_device and not setting.environment and setting.threads in (None, threads)


def _explain_missing(name: str) -> str | None:
    setting = SETTINGS.get(name)
    lacking = [flag for flag in setting.needs if flag not in find_flags()]
    if lacking:
        return f"the processor has no {', '.join(lacking)}"
    if setting.device == "cuda" and resolve_device("auto") == "cpu":
        return "torch finds no usable GPU here"
    return None

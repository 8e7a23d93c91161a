"""How an engine is used: named set-ups of engines.yaml, and what options of a run say beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.common.entries import Entries, Entry, WrongKey, read_entries
from bench.common.errors import ConfigurationError
from bench.common.folders import default_file
from bench.common.text import suggest_name

FILE = "engines.yaml"
LOCAL, SLURM, RAY = "local", "slurm", "ray"
_BATCH_S = {LOCAL: 600.0, SLURM: 600.0, RAY: 30.0}  # what starting a job costs, 6 s and 0.01, is little of it
_SPARE_MIN = 15  # that a job may take longer than expected, beside three times as long

Word = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\n\r\0]*\Z", description="text of one line")]
Line = Annotated[str, Meta(max_length=10_000, pattern=r"^[^\n\r\0]*\Z", description="a command of one line")]
OptionName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,63}\Z", description="an option without its dashes")]


class Setup(Entry, frozen=True, kw_only=True):
    """One entry of engines.yaml; docs/cluster.md explains its keys."""

    engine: Literal["local", "slurm", "ray"]
    slots: Annotated[int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10,000")] | None = None
    batch_s: Annotated[float, Meta(ge=1, le=86_400, description="seconds, from 1 to 86,400")] | None = None
    retries: Annotated[int, Meta(ge=0, le=20, description="a whole number from 0 to 20")] = 2
    gpus: Annotated[int, Meta(ge=0, le=64, description="a whole number from 0 to 64")] | None = None
    cpus: Annotated[int, Meta(ge=1, le=1024, description="a whole number from 1 to 1,024")] | None = None
    mem_gb: Annotated[float, Meta(gt=0, le=10_000, description="a number of GB, above 0")] | None = None
    time_min: Annotated[int, Meta(ge=1, le=100_000, description="a whole number of minutes")] | None = None
    partition: Word | None = None
    account: Word | None = None
    exclusive: Annotated[bool, Meta(description="true or false")] = False
    setup: Annotated[tuple[Line, ...], Meta(max_length=100, description="a list of commands")] = ()
    options: Annotated[dict[OptionName, Word | int | bool], Meta(
        max_length=100, description="a mapping from options of sbatch, without dashes, to their values")] = {}
    python: Word | None = None
    address: Word | None = None
    here: Annotated[bool, Meta(description="true or false")] = False

    def __post_init__(self) -> None:
        given = {name for name in self.__struct_fields__ if getattr(self, name) not in (None, (), {}, False)}
        of_slurm = ("partition", "account", "time_min", "setup", "options", "python", "here")
        if self.engine != SLURM and (strange := [name for name in of_slurm if name in given]):
            raise WrongKey(f"'{strange[0]}' is of Slurm, and the engine is {self.engine}", strange[0])
        if self.engine != RAY and "address" in given:
            raise WrongKey(f"'address' is of Ray, and the engine is {self.engine}", "address")
        if self.engine == LOCAL and (strange := [name for name in ("gpus", "cpus", "mem_gb", "batch_s")
                                                 if name in given]):
            raise WrongKey(f"'{strange[0]}' is of a cluster, and the engine is {self.engine}", strange[0])

    @property
    def long_batch_s(self) -> float:
        """Seconds that a batch should take at most."""
        return self.batch_s or _BATCH_S[self.engine]

    @property
    def job_min(self) -> int:
        """Minutes after which a job is ended."""
        return self.time_min or math.ceil(3 * self.long_batch_s / 60) + _SPARE_MIN


def load_setups(path: Path | None = None) -> Mapping[str, Setup]:
    """Read engines.yaml: by default ``BENCH_ENGINES``, else the checkout's; none where there is no file.

    Raises:
        ConfigurationError: a mistake in the file, with its line.
    """
    path = path or default_file(FILE)
    if not path.exists():
        return {}
    setups: Entries[Setup] = read_entries(path, Setup, "set-up", "engines")
    for name in setups:
        if name in _BATCH_S:
            raise setups.error(name, WrongKey("is the name of an engine; choose another"))
    return setups


def choose_setup(name: str, given: Mapping[str, Any]) -> Setup:
    """Return the set-up called ``name``, or the engine of that name, with what was ``given`` beside it.

    Args:
        given: keys of a set-up to values; those that are None leave it as it is.

    Raises:
        ConfigurationError: there is no such engine or set-up, or a value is wrong.
    """
    setups = load_setups()
    if name not in setups and name not in _BATCH_S:
        raise ConfigurationError(f"there is no engine or set-up '{name}'", suggest_name(name, [*_BATCH_S, *setups]))

    values: dict[str, Any] = {"name": name, "engine": name}
    if name in setups:
        values = msgspec.to_builtins(setups[name])
    changed = {key: value for key, value in given.items() if value is not None}
    if "options" in changed:
        changed["options"] = {**values.get("options", {}), **changed["options"]}
    try:
        return msgspec.convert({**values, **changed}, Setup)
    except msgspec.ValidationError as error:
        reason = error.__cause__ if isinstance(error.__cause__, WrongKey) else error
        raise ConfigurationError(f"engine '{name}': {reason}", "docs/cluster.md says what each option holds") from None

"""The engine of this machine: units run in processes that are its own, without batches and files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from bench.runners.engines.engine import TimedUnits
from bench.runners.evaluate.engine import Measured, run_units


class LocalEngine:
    """Runs units in processes of this machine.

    Args:
        jobs: units at a time.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs

    def run_units(self, units: TimedUnits) -> Generator[list[Measured], None, None]:
        """See :class:`bench.runners.engines.engine.Engine`; each row is one group."""
        with closing(run_units(units, self._jobs)) as measured:
            for one in measured:
                yield [one]

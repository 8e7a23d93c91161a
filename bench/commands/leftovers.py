"""What jobs of a cluster have measured without a driver: stored before a verb looks at what is stored."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.common.folders import JOBS


def merge_leftovers(results: Path) -> None:
    """Store it, and say so; nothing is imported where there is none.

    Raises:
        BenchError: files can't be read or written.
    """
    if not (results / JOBS).is_dir():
        return
    from bench.results.store import Store
    from bench.runners.engines.merge import merge_abandoned

    for text in merge_abandoned(Store(results)):
        print(text, file=sys.stderr)

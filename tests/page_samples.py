"""Reports as the commands build them."""

from __future__ import annotations

from pathlib import Path

from bench.reports.kinds import build_reports
from bench.results.stored import StoredResults


def build(kind: str, results: Path, reports: Path, *names: str) -> list[Path]:
    """Write the pages of one kind; return the files of all, README.md of each first."""
    return [path for written in build_reports(kind, StoredResults(results), reports, names) for path in written.paths]

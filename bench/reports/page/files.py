"""The files of a report: each written whole or not at all, those of earlier reports cleared."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench.common.files import write_whole, writing
from bench.reports.page.pages import Report
from bench.reports.page.render import render_html, render_readme, to_csv, to_latex, to_markdown, to_text

MANIFEST = "files.json"


@dataclass(frozen=True)
class WrittenReport:
    """A report as it stands in its folder.

    Attributes:
        name: of the page.
        folder: that of its files.
        paths: every file, README.md first.
        summary: what a terminal prints of it.
        worse: something got worse beyond its uncertainty since the accepted state.
        unchanged: it was not made again, because nothing that it is made from has changed.
    """

    name: str
    folder: Path
    paths: tuple[Path, ...]
    summary: str
    worse: bool = False
    unchanged: bool = False

    @property
    def page(self) -> Path:
        """The file to open in a browser."""
        return self.folder / "index.html"


def write_report(report: Report, folder: Path, formats: Collection[str] = ()) -> WrittenReport:
    """Write every file of ``report`` into ``folder``.

    Files that an earlier report wrote, by its manifest, and that are no longer among these are removed; nothing else
    in the folder is touched.

    Raises:
        BenchError: the folder can't be written.
    """
    contents = contents_of(report)
    with writing(folder, "choose another folder with --reports"):
        stale = set(_manifest(folder)) - set(contents)
        paths = [write_whole(folder / name, data) for name, data in contents.items()]
        write_whole(folder / MANIFEST, (json.dumps(sorted(contents), indent=1) + "\n").encode())
        for name in sorted(stale):
            _remove(folder, name)
    return WrittenReport(report.name, folder, tuple(paths), summarise_report(report), report.worse)


def summarise_report(report: Report) -> str:
    """Return what a terminal prints of ``report``: its own summary, or its warnings and the table that says most."""
    if report.summary:
        return report.summary
    return "\n".join([*(f"warning: {warning}" for warning in report.warnings), to_text(report.main_table)])


def contents_of(report: Report) -> dict[str, bytes]:
    """Return every file of the report: path within its folder to bytes."""
    contents = {"README.md": render_readme(report).encode(), "index.html": render_html(report).encode()}
    for figure in report.figures:
        contents[f"figures/{figure.name}.png"] = figure.png
        contents[f"figures/{figure.name}.svg"] = figure.svg
    for table in report.tables:
        contents[f"tables/{table.name}.csv"] = to_csv(table).encode()
        contents[f"tables/{table.name}.md"] = to_markdown(table, level=1).encode()
        contents[f"tables/{table.name}.tex"] = to_latex(table).encode()
    return {**contents, **report.files}


def _manifest(folder: Path) -> list[str]:
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _remove(folder: Path, name: str) -> None:
    """Remove one file of an earlier report, and its folder if that is empty now."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return  # an edited manifest must not reach outside
    path.unlink(missing_ok=True)
    if path.parent != folder.resolve() and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()

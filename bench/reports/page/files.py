"""The files of a report: each written whole or not at all, figures drawn where they changed, earlier files cleared."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from bench.common.files import write_whole, writing
from bench.common.text import strip_controls
from bench.reports.page.figures import Figure, Layout
from bench.reports.page.pages import Report
from bench.reports.page.render import render_html, render_readme, to_csv, to_latex, to_markdown, to_text
from bench.reports.page.written import (
    MANIFEST,
    Manifest,
    WrittenReport,
    encode_manifest,
    read_manifest,
    remove_files,
)

FIGURES = "figures"  # folder of those that pages show
PRINT = "print"  # folder of those that are drawn on request


def write_report(report: Report, folder: Path, formats: Collection[str] = (), inputs: str = "") -> WrittenReport:
    """Write every file of ``report`` into ``folder``; a figure that is there and has not changed is not drawn again.

    Files that an earlier report wrote, by its manifest, and that are no longer among these are removed; nothing else
    in the folder is touched.

    Args:
        formats: "svg", "pdf" or "png": every figure is also drawn in these, in each layout, into the folder "print".
        inputs: digest of all that the report is made from.

    Raises:
        BenchError: the folder can't be written.
    """
    earlier = read_manifest(folder)
    contents = list_contents(report)
    figures = dict(_list_figures(report, formats))
    digests = {path: figure.digest for path, (figure, _) in figures.items()}
    with writing(folder, "choose another folder with --reports"):
        files = {name: _write_file(folder / name, content) for name, content in contents.items()}
        for path, (figure, layout) in figures.items():
            if earlier.is_current(folder, path, digests[path]):
                files[path] = earlier.files[path]
            else:
                files[path] = _write_file(folder / path, _draw_file(figure, layout, path))
        remove_files(folder, sorted(set(earlier.files) - set(files)))
        summary = summarise_report(report)
        manifest = Manifest(inputs=inputs, formats=sorted(formats), name=report.name, summary=summary,
                            worse=report.worse, files=files, figures=digests)
        write_whole(folder / MANIFEST, encode_manifest(manifest))
    return WrittenReport(report.name, folder, tuple(folder / name for name in files), summary, report.worse)


def list_contents(report: Report) -> dict[str, bytes]:
    """Return every file of the report but its figures: path within its folder to bytes, README.md first."""
    contents = {"README.md": render_readme(report).encode(), "index.html": render_html(report).encode()}
    for table in report.tables:
        contents[f"tables/{table.name}.csv"] = to_csv(table).encode()
        contents[f"tables/{table.name}.md"] = to_markdown(table, level=1).encode()
        contents[f"tables/{table.name}.tex"] = to_latex(table).encode()
    return {**contents, **report.files}


def summarise_report(report: Report) -> str:
    """Return what a terminal prints of ``report``: its own summary, or its warnings and the table that says most."""
    if report.summary:
        return report.summary
    warnings = (strip_controls(f"warning: {warning}") for warning in report.warnings)
    return "\n".join([*warnings, to_text(report.main_table)])


def _list_figures(report: Report, formats: Collection[str]) -> Iterator[tuple[str, tuple[Figure, Layout]]]:
    for figure in report.figures:
        yield f"{FIGURES}/{figure.name}.png", (figure, figure.layouts[0])
        for layout in figure.layouts:
            for kind in sorted(formats):
                yield f"{PRINT}/{figure.name}_{layout.name}.{kind}", (figure, layout)


def _draw_file(figure: Figure, layout: Layout, path: str) -> bytes:
    from bench.reports.page import canvas  # matplotlib, which takes longest where nothing is drawn

    return canvas.render_figure(figure, layout, path.rpartition(".")[2])


def _write_file(path: Path, content: bytes) -> str:
    """Write one file and return its SHA-256."""
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()

"""The report as one HTML page that needs no other file, and as a README that hosting sites show."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from bench.reports.page.canvas import Figure
from bench.reports.page.render import escape_markdown, to_html, to_markdown
from bench.reports.page.table import Table

FIGURES, TABLES = "figures", "tables"  # folders beside the README
ADDRESS = re.compile(r"https?://[^\s<>\"')]+")


@dataclass(frozen=True)
class Section:
    """A heading with text, figures and tables below it.

    Attributes:
        text: paragraphs, plain.
        collapsed: long; the HTML page folds it and the README only links its files.
    """

    title: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    collapsed: bool = False
    text: tuple[str, ...] = ()

    @property
    def shown_figures(self) -> list[Figure]:
        """The figures a page shows: of those in two layouts, the wide one."""
        return [figure for figure in self.figures if figure.name.endswith("_wide")]


@dataclass(frozen=True)
class Report:
    """One page and everything that is written beside it.

    Attributes:
        name: of its folder.
        main: name of the table that says most.
        warnings: what is said before anything else.
        sources: of curves that were not measured here.
        files: what stands beside the pages, tables and figures: path within the folder to bytes.
    """

    name: str
    title: str
    main: str
    intro: tuple[str, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def main_table(self) -> Table:
        """The table called ``main``."""
        return next(table for table in self.tables if table.name == self.main)

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [table for section in self.sections for table in section.tables]

    @property
    def figures(self) -> list[Figure]:
        """All figures, in order."""
        return [figure for section in self.sections for figure in section.figures]


def render_html(report: Report) -> str:
    """Return the whole report as one HTML document; plots are embedded as SVG."""
    environment = Environment(loader=PackageLoader("bench.reports.page"), autoescape=True, trim_blocks=True,
                              keep_trailing_newline=True)
    environment.filters["svg_source"] = lambda figure: _svg_source(figure)
    environment.filters["table_html"] = lambda table: Markup(to_html(table))
    environment.filters["linked"] = _linked
    return environment.get_template("report.html.j2").render(report=report)


def _svg_source(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(figure.svg).decode()


def _linked(text: str) -> Markup:
    """Escape ``text`` and turn the addresses in it into links."""
    parts: list[str | Markup] = []
    end = 0
    for match in ADDRESS.finditer(text):
        address = escape(match.group())
        parts += [escape(text[end:match.start()]), Markup(f'<a href="{address}">{address}</a>')]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def render_readme(report: Report) -> str:
    """Return the report as Markdown that links the figures and tables beside it."""
    lines = [f"# {escape_markdown(report.title)}", ""]
    for line in report.intro:
        lines += [escape_markdown(line), ""]
    for warning in report.warnings:
        lines += [f"> **Warning:** {escape_markdown(warning)}", ""]
    lines += ["Everything on one page: [index.html](index.html). "
              f"Plots as PNG and SVG, for a page and for a paper's column: [{FIGURES}/]({FIGURES}). "
              f"Tables as CSV, Markdown and LaTeX: [{TABLES}/]({TABLES}).", ""]
    for section in report.sections:
        lines += [f"## {escape_markdown(section.title)}", ""]
        lines += [line for paragraph in section.text for line in (escape_markdown(paragraph), "")]
        lines += _section_body(section)
    if report.sources:
        lines += ["## Sources of anchors and published points", "", *_bullets(report.sources), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _section_body(section: Section) -> list[str]:
    if section.collapsed:
        return [f"- {escape_markdown(table.title)}: [CSV]({TABLES}/{table.name}.csv), "
                f"[Markdown]({TABLES}/{table.name}.md), [LaTeX]({TABLES}/{table.name}.tex)"
                for table in section.tables] + [""]
    lines: list[str] = []
    for figure in section.shown_figures:
        path = f"{FIGURES}/{figure.name}"
        lines += [f"[![{escape_markdown(figure.caption)}]({path}.png)]({path}.svg)", "",
                  f"<sub>{escape_markdown(figure.caption)}</sub>", ""]
    for table in section.tables:
        lines += [to_markdown(table), ""]
    return lines


def _bullets(texts: Sequence[str]) -> list[str]:
    return [f"- {escape_markdown(text)}" for text in texts]

"""Tables and pages as Markdown, HTML, CSV, LaTeX and text; each escapes what its format gives a meaning to.

Markdown, HTML and LaTeX are written by the templates beside this module.
"""

from __future__ import annotations

import csv
import html
import io
import math
import re

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from tabulate import tabulate

from bench.common.text import escape_formula, strip_controls
from bench.reports.page.pages import Report
from bench.reports.page.table import Cell, Table

TEMPLATES = Environment(loader=PackageLoader("bench.reports.page"), autoescape=lambda name: ".html." in (name or ""),
                        trim_blocks=True, keep_trailing_newline=True,
                        finalize=lambda value: strip_controls(value) if type(value) is str else value)
LATEX_TEMPLATES = TEMPLATES.overlay(block_start_string="<%", block_end_string="%>",
                                    variable_start_string="<<", variable_end_string=">>")

LATEX_SPECIALS = {
    "\\": r"\textbackslash{}",
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}",
    "−": "$-$", "–": "--", "×": r"$\times$", "λ": r"$\lambda$", "·": r"$\cdot$", "±": r"$\pm$",
    "≈": r"$\approx$", "°": r"\textdegree{}", "⁶": r"\textsuperscript{6}",
}
LONG_TABLE_ROWS = 60  # longer LaTeX tables break over pages


def to_csv(table: Table) -> str:
    """Return the values with six decimals, a missing one empty; constants and warnings in every row."""
    constants = list(table.constants) + [("warning", " ".join(table.warnings))]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.key for column in table.columns] + [key for key, _ in constants])
    for row in table.rows:
        writer.writerow([_csv_cell(value) for value in (*row, *(value for _, value in constants))])
    return buffer.getvalue()


def _csv_cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        return escape_formula(value)
    return str(round(value, 6) if isinstance(value, float) else value)


def render_html(report: Report) -> str:
    """Return the whole report as one HTML document, which shows the figures beside it and needs no other file."""
    return TEMPLATES.get_template("report.html.j2").render(report=report)


def render_readme(report: Report) -> str:
    """Return the report as Markdown, as hosting sites show it; it links nothing that git does not keep."""
    text = TEMPLATES.get_template("readme.md.j2").render(report=report)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def to_html(table: Table) -> str:
    """Return a <section> with title, warnings, table and notes."""
    return TEMPLATES.get_template("table.html.j2").render(table=table)


def to_markdown(table: Table, level: int = 3) -> str:
    """Return title, warnings, table and notes as GitHub's Markdown."""
    return TEMPLATES.get_template("table.md.j2").render(table=table, level=level).rstrip() + "\n"


def escape_markdown(text: str) -> str:
    """Escape what would end a cell, open a tag or start emphasis; underscores in words are left alone."""
    text = " ".join(strip_controls(text).split()).replace("\\", "\\\\")
    for character in "|*`<>[]$":
        text = text.replace(character, "\\" + character)
    return text


def to_text(table: Table) -> str:
    """Return title and table for a terminal, without notes, long texts and details."""
    shown = [index for index, column in enumerate(table.columns) if not column.wide and not column.detail]
    rows = [[texts[index] for index in shown] for _, texts in table.lines()]
    headings = [table.columns[index].heading for index in shown]
    aligned = ["right" if table.columns[index].numeric else "left" for index in shown]
    body = tabulate(rows, headings, "simple", colalign=aligned, disable_numparse=True,
                    maxheadercolwidths=[12] * len(shown)) if rows else "(nothing)"
    return strip_controls(f"{table.title}\n\n{body}")


def to_latex(table: Table) -> str:
    """Return a booktabs table with caption, label and notes; a long one breaks over pages.

    The document needs the packages booktabs and adjustbox, for long tables longtable.
    """
    return LATEX_TEMPLATES.get_template("table.tex.j2").render(table=table, long_table_rows=LONG_TABLE_ROWS)


def escape_latex(text: str) -> str:
    """Escape LaTeX's special characters; others outside ASCII are kept (UTF-8 is LaTeX's default)."""
    return "".join(LATEX_SPECIALS.get(character, character) for character in " ".join(strip_controls(text).split()))


TEMPLATES.filters |= {  # LATEX_TEMPLATES has them too
    "markdown": escape_markdown,
    "latex": escape_latex,
    "html": lambda text: Markup(html.escape(strip_controls(text))),
    "sentence": lambda text: text if text.endswith(".") else f"{text}.",
    "split_addresses": re.compile(r"""(https?://[^\s<>"')]+)""").split,  # text, address, text, ...
}

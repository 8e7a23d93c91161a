"""A Table as Markdown, CSV, LaTeX or HTML. Every renderer escapes what its format gives a meaning to."""

from __future__ import annotations

import csv
import html
import io
import math

from tabulate import tabulate

from bench.reports.page.table import Cell, Column, Table

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
        writer.writerow([_csv_cell(value) for value in row] + [value for _, value in constants])
    return buffer.getvalue()


def _csv_cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and not isinstance(value, bool):
        return repr(round(value, 6)) if math.isfinite(value) else ""
    return str(value)


def to_markdown(table: Table, level: int = 3) -> str:
    """Return title, warnings, table and notes as GitHub's Markdown."""
    lines = [f"{'#' * level} {escape_markdown(table.title)}", ""]
    for warning in table.warnings:
        lines += [f"> **Warning:** {escape_markdown(warning)}", ""]
    if table.rows:
        lines.append(_markdown_line([escape_markdown(column.heading) for column in table.columns]))
        lines.append(_markdown_line(["---:" if column.numeric else "---" for column in table.columns]))
        headings = dict(table.headings)
        for index, row in enumerate(table.rows):
            if index in headings:
                blanks = [""] * (len(table.columns) - 1)
                lines.append(_markdown_line([f"***{escape_markdown(headings[index])}***", *blanks]))
            lines.append(_markdown_line([escape_markdown(text) for text in _texts(table, row)]))
    else:
        lines.append("None.")
    lines += [""] + [f"- {escape_markdown(note)}" for note in table.notes]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escape_markdown(text: str) -> str:
    """Escape what would end a cell, open a tag or start emphasis; underscores in words are left alone."""
    text = " ".join(text.split()).replace("\\", "\\\\")
    for character in "|*`<>[]":
        text = text.replace(character, "\\" + character)
    return text


def to_html(table: Table) -> str:
    """Return a <section> with title, warnings, table and notes."""
    parts = [f'<section id="{html.escape(table.name)}">', f"<h3>{html.escape(table.title)}</h3>"]
    parts += [f'<p class="warning"><strong>Warning:</strong> {html.escape(text)}</p>'
              for text in table.warnings]
    if table.rows:
        parts += ['<div class="scroll"><table>', _html_head(table), "<tbody>"]
        headings = dict(table.headings)
        for index, row in enumerate(table.rows):
            if index in headings:
                parts.append(f'<tr class="heading"><th colspan="{len(table.columns)}">'
                             f"{html.escape(headings[index])}</th></tr>")
            cells = zip(table.columns, _texts(table, row))
            parts.append("<tr>" + "".join(_html_cell("td", column, text) for column, text in cells) + "</tr>")
        parts.append("</tbody></table></div>")
    else:
        parts.append("<p>None.</p>")
    if table.notes:
        items = "".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
        parts.append(f'<ul class="notes">{items}</ul>')
    parts.append("</section>")
    return "\n".join(parts)


def _html_head(table: Table) -> str:
    cells = "".join(_html_cell("th", column, column.heading) for column in table.columns)
    return f"<thead><tr>{cells}</tr></thead>"


def _html_cell(tag: str, column: Column, text: str) -> str:
    kind = "number" if column.numeric else "wide" if column.wide else "text"
    return f'<{tag} class="{kind}">{html.escape(text)}</{tag}>'


def to_text(table: Table) -> str:
    """Return title and table for a terminal, without notes, long texts and details."""
    shown = [index for index, column in enumerate(table.columns) if not column.wide and not column.detail]
    rows = [[_texts(table, row)[index] for index in shown] for row in table.rows]
    headings = [table.columns[index].heading for index in shown]
    aligned = ["right" if table.columns[index].numeric else "left" for index in shown]
    body = tabulate(rows, headings, "simple", colalign=aligned, disable_numparse=True,
                    maxheadercolwidths=[12] * len(shown)) if rows else "(nothing)"
    return f"{table.title}\n\n{body}"


def to_latex(table: Table) -> str:
    """Return a booktabs table with caption, label and notes; a long one breaks over pages.

    The document needs the packages booktabs and adjustbox, for long tables longtable.
    """
    warnings = [rf"\textbf{{Warning: {escape_latex(text)}}}" for text in table.warnings]
    caption = " ".join([escape_latex(_sentence(table.title)), *warnings])
    opening = rf"\caption{{{caption}}}\label{{tab:{table.name.replace('_', '-')}}}"
    columns = "".join("p{0.3\\linewidth}" if c.wide else "r" if c.numeric else "l" for c in table.columns)
    head = [r"\toprule", _latex_line([column.heading for column in table.columns]), r"\midrule"]
    notes = [escape_latex(_sentence(note)) + r"\par" for note in table.notes]
    if len(table.rows) > LONG_TABLE_ROWS:
        lines = [r"{\scriptsize\setlength{\tabcolsep}{3pt}", rf"\begin{{longtable}}{{{columns}}}",
                 rf"{opening} \\", *head, r"\endfirsthead", *head, r"\endhead", r"\bottomrule", r"\endfoot",
                 *_latex_body(table), r"\end{longtable}", *notes, "}"]
    else:
        lines = [r"\begin{table}", r"\centering", opening, r"\footnotesize", r"\setlength{\tabcolsep}{3pt}",
                 r"\begin{adjustbox}{max width=\linewidth}", rf"\begin{{tabular}}{{{columns}}}", *head,
                 *_latex_body(table), r"\bottomrule", r"\end{tabular}", r"\end{adjustbox}", r"\par\smallskip",
                 r"\begin{minipage}{\linewidth}\scriptsize", *notes, r"\end{minipage}", r"\end{table}"]
    return "\n".join([r"% \usepackage{booktabs,adjustbox,longtable}", *lines]) + "\n"


def _latex_body(table: Table) -> list[str]:
    headings = dict(table.headings)
    lines = []
    for index, row in enumerate(table.rows):
        if index in headings:
            text = rf"\emph{{{escape_latex(headings[index])}}}"
            lines += [r"\midrule"] if index else []
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{l}}{{{text}}} \\")
        lines.append(_latex_line(_texts(table, row)))
    return lines


def _latex_line(texts: list[str]) -> str:
    return " & ".join(map(escape_latex, texts)) + r" \\"


def escape_latex(text: str) -> str:
    """Escape LaTeX's special characters; others outside ASCII are kept (UTF-8 is LaTeX's default)."""
    return "".join(LATEX_SPECIALS.get(character, character) for character in " ".join(text.split()))


def _sentence(text: str) -> str:
    return text if text.endswith(".") else text + "."


def _texts(table: Table, row: tuple[Cell, ...]) -> list[str]:
    return [column.text(value) for column, value in zip(table.columns, row)]

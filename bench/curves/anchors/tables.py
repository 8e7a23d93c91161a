"""Rate points in a table of text: a line of column names, then one line for each rate point, or for each of an image.

Commas, tabs, semicolons, bars or blanks are told apart by the names that they give; decimal commas are read where
commas don't separate cells. Lines that begin with "#" or "%" are comments.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from bench.common.errors import BenchError
from bench.common.text import format_count
from bench.curves.anchors.column_names import IMAGES, KINDS, SETTINGS, identify_column, join_words
from bench.curves.anchors.columns import MOST_VALUES, NamedColumn, make_points, quote
from bench.curves.averaging import settle_averaging
from bench.curves.rd_curve import Points, RDCurve, average_points

if TYPE_CHECKING:
    from pandas import DataFrame

SEPARATORS = ("\t", ";", ",", "|", " ")  # " " is any number of blanks
COMMENTS = ("#", "%", "//")
EXCEL = re.compile(r'\s*"?sep=.?"?\s*', re.IGNORECASE)  # its first line, which names the separator
MOST_COLUMNS = 1000
RULE = re.compile(r"[\s|+:=-]*(---|===)[\s|+:=-]*")  # under the names of a table in Markdown
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
IMAGE_SUFFIXES = (".png", ".ppm", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".yuv")
MEANS = {"mean", "means", "average", "averages", "avg", "overall", "all", "total", "summary"}
SPREADS = {"std", "stdev", "stddev", "std-dev", "variance", "var", "median", "min", "max", "minimum", "maximum", "sum"}


class _Line(NamedTuple):
    number: int
    text: str


def parse_table(text: str, where: str, name: str, dataset: str = "", metrics: Collection[str] = ()) -> RDCurve:
    """Parse a table such as ``bpp,psnr_rgb_db,ms_ssim`` (MS-SSIM linear); unknown columns are passed over.

    With a column that names images, points are averaged over these. Lines of averages are left out then.

    Args:
        where: what error messages call the file.
        name: short name of the curve.
        dataset: that of the points.
        metrics: names in METRICS that are asked for.

    Raises:
        BenchError: the text is not of this shape, or lacks an asked metric.
    """
    table = _read_cells(_find_lines(text, where), where)
    _require_one_of_each_kind(table, where)
    table, remarks = _leave_out_summaries(table)

    points, left_out = make_points(_read_columns(table), where, metrics, [f"line {line}" for line in table.index])
    remarks += left_out

    images = _find_images(table)
    count = None
    if images is not None and not all(join_words(cell) in MEANS for cell in table.iloc[:, images]):
        members = _group_points(table, images, points, where)
        points, count = average_points(members), len(members)
        remarks.append(f"averaged over the {format_count(count, 'image')} of column {quote(table.columns[images])}")
    elif images is None:
        _require_one_curve(table, points.bpp, where)
    curve = RDCurve(dataset, name, name, points, source=where.replace("\\", "/").rpartition("/")[2], images=count,
                    remarks=tuple(remarks))
    return settle_averaging(curve) if count is None else curve


def _find_lines(text: str, where: str) -> list[_Line]:
    """Return the line of names and those of values: without comments, rules, empty lines and ``sep=;``."""
    lines: list[_Line] = []
    comment = None
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        stripped = line.strip()
        if stripped.startswith(COMMENTS) and not lines:
            comment = _Line(number, stripped.lstrip("#%/ \t"))
        elif stripped.startswith(COMMENTS) or RULE.fullmatch(stripped) or (not lines and EXCEL.fullmatch(line)):
            continue
        elif stripped:
            lines.append(_Line(number, line))

    if lines and comment is not None and not _count_names(lines[0].text) and _count_names(comment.text):
        return [comment, *lines]  # names as numpy.savetxt writes them
    if lines and not _count_names(lines[0].text) and any(map(_is_number, re.split(r"[,;|\s]+", lines[0].text))):
        raise BenchError(f"{where}, line {lines[0].number} holds numbers, not names",
                         f"it begins with {quote(lines[0].text)}; put a line of names before it, such as bpp,psnr")
    return lines


def _is_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell) is not None


def _count_names(header: str) -> int:
    return max(sum(identify_column(name) is not None for name in _split(header, separator))
               for separator in SEPARATORS)


def _choose_separator(header: str) -> str:
    """Return what gives the most known names, then the most names: units and remarks may hold the others."""
    def rate_separator(separator: str) -> tuple[int, bool]:
        names = _split(header, separator)
        return sum(identify_column(name) is not None for name in names), len(names) > 1

    return max(SEPARATORS, key=rate_separator)


def _split(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()[:MOST_COLUMNS + 1]
    if line.count(separator) > MOST_COLUMNS:
        return line.split(separator, MOST_COLUMNS)
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:  # a cell of over 128 KiB
        return [line]


def _read_cells(lines: Sequence[_Line], where: str) -> DataFrame:
    """Return the cells as text, under the columns' names and the lines' numbers."""
    import pandas as pd

    separator = _choose_separator(lines[0].text) if lines else ","
    names = [name.strip() for name in _split(lines[0].text, separator)] if lines else []
    if len(names) > MOST_COLUMNS:
        raise BenchError(f"{where}, line {lines[0].number} has more than {MOST_COLUMNS} columns")
    if len(lines) > MOST_VALUES:
        raise BenchError(f"{where} has {len(lines)} lines, more than {MOST_VALUES}")
    if len(lines) < 2:
        make_points([NamedColumn(name, ()) for name in names], where)  # says what is missing

    clean = (line.text.strip() if separator == " " else line.text for line in lines[1:])
    first = separator.join("x" * len(names))  # tells how many cells there may be
    text = io.StringIO("\n".join((first, *clean)))
    try:
        cells = pd.read_csv(text, sep=r"\s+" if separator == " " else separator, header=None, dtype=str,
                            na_filter=False, skip_blank_lines=False, skipinitialspace=True)
    except (pd.errors.ParserError, ValueError) as error:
        raise BenchError(f"{where}: {_translate_place(str(error), lines)}",
                         f"the names are: {', '.join(map(quote, names))}") from None
    if len(cells) != len(lines):
        raise BenchError(f"{where}: a quoted cell goes over several lines", "give each rate point one line")

    table = cells.iloc[1:].fillna("").apply(lambda column: column.str.strip())
    table.columns, table.index = names, [line.number for line in lines[1:]]
    return table


def _translate_place(message: str, lines: Sequence[_Line]) -> str:
    """Return pandas' message with the file's own line number."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if not found:
        return message.strip()
    expected, line, seen = map(int, found.groups())
    return f"line {lines[line - 1].number} has {seen} cells, but there are {expected} names"


def _read_columns(table: DataFrame) -> list[NamedColumn]:
    """Return numbers where cells are some, else their text; commas are decimal where any is and no point."""
    texts = [list(table.iloc[:, place]) if identify_column(column) is not None else []
             for place, column in enumerate(table.columns)]
    known = [cell for cells in texts for cell in cells]
    decimal_commas = any("," in cell for cell in known) and not any("." in cell for cell in known)

    columns = []
    for name, cells in zip(table.columns, texts):
        cells = [cell.replace(",", ".") if decimal_commas else cell for cell in cells]
        columns.append(NamedColumn(name, [float(cell) if _is_number(cell) else cell for cell in cells]))
    return columns


def _find_column(table: DataFrame, names: Collection[str]) -> int | None:
    return next((place for place, column in enumerate(table.columns) if join_words(column) in names), None)


def _find_images(table: DataFrame) -> int | None:
    """Return the place of the column that names images: by its name, else by the files that all its cells name."""
    named = _find_column(table, IMAGES)
    if named is not None:
        return named
    return next((place for place in range(table.shape[1])
                 if all(cell.lower().endswith(IMAGE_SUFFIXES) for cell in table.iloc[:, place])), None)


def _require_one_of_each_kind(table: DataFrame, where: str) -> None:
    """Refuse a table of several curves: of two codecs, one of which stands in several lines."""
    for place, column in enumerate(table.columns):
        found = list(dict.fromkeys(table.iloc[:, place]))
        if join_words(column) in KINDS and 1 < len(found) < len(table):
            raise BenchError(f"{where} holds several curves: column {quote(column)} has "
                             f"{', '.join(map(quote, found[:20]))}", "keep the lines of one of them")


def _require_one_curve(table: DataFrame, rates: Sequence[float], where: str) -> None:
    """Refuse a table of several curves, one below the other: the rate starts anew where a column changes."""
    rises = [later > earlier for earlier, later in zip(rates, rates[1:])]
    usual = 2 * sum(rises) >= len(rises)
    starts = [number for number, rising in enumerate(rises, 1) if rising != usual]
    for place, column in enumerate(table.columns):
        cells = list(table.iloc[:, place])
        changes = [number for number in range(1, len(cells)) if cells[number] != cells[number - 1]]
        if starts and starts == changes and identify_column(column) is None:
            raise BenchError(f"{where} holds several curves: the rate starts anew where column {quote(column)} goes "
                             f"from {quote(cells[starts[0] - 1])} to {quote(cells[starts[0]])}",
                             "keep the lines of one of them; call the column image where it names images")


def _leave_out_summaries(table: DataFrame) -> tuple[DataFrame, list[str]]:
    """Leave out the lines that say in a cell that they are averages of others, unless all do."""
    passed_over = [place for place, column in enumerate(table.columns) if identify_column(column) is None]
    text, remarks = table.iloc[:, passed_over], []
    for words in (SPREADS, MEANS):
        cells = {cell for _, column in text.items() for cell in column.unique() if join_words(cell) in words}
        marked = text.isin(cells).any(axis=1)
        if marked.any() and not marked.all():
            lines = ", ".join(map(str, table.index[marked][:20]))
            remarks.append(f"left out: {format_count(int(marked.sum()), 'line')} that sum up others ({lines})")
            table, text = table[~marked], text[~marked]
    return table, remarks


def _group_points(table: DataFrame, images: int, points: Points, where: str) -> list[Points]:
    """Return the points of each image, all in one order: that of a column of settings, else of rising rate."""
    setting = _find_column(table, SETTINGS)
    if setting is not None and not any(table.iloc[:, setting]):
        setting = None
    settings = None if setting is None else [_normalise(cell) for cell in table.iloc[:, setting]]
    by_image: dict[str, dict[object, int]] = {}
    for index, image in enumerate(table.iloc[:, images]):
        if not image:
            raise BenchError(f"{where}, line {table.index[index]}: column {quote(table.columns[images])} is empty")
        members = by_image.setdefault(image, {})
        key = (points.bpp[index], index) if settings is None else settings[index]
        if key in members:
            raise BenchError(f"{where}: image {quote(image)} stands twice at one rate point: "
                             f"lines {table.index[members[key]]} and {table.index[index]}")
        members[key] = index

    (first, wanted), *others = by_image.items()
    order: Callable[[dict], list] = sorted if settings is None else list
    for image, members in others:
        same = len(members) == len(wanted) if settings is None else members.keys() == wanted.keys()
        if not same:
            raise BenchError(f"{where}: image {quote(image)} has not the rate points of {quote(first)}: "
                             f"{len(members)} and {len(wanted)}", "every image needs each of them")
    return [points.take([members[key] for key in (order(members) if settings is None else list(wanted))])
            for members in by_image.values()]


def _normalise(cell: str) -> object:
    return float(cell) if _is_number(cell) else cell

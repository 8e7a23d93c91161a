"""What a report holds: sections of text, figures and tables, and what is said of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.reports.page.figures import Figure
from bench.reports.page.table import Table


@dataclass(frozen=True)
class Picture:
    """A figure of another report: path of its file, relative to the page, and what stands below it."""

    path: str
    caption: str


@dataclass(frozen=True)
class Link:
    """Another report: its folder relative to the page, its title, and a line on what it shows."""

    folder: str
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A heading with text, figures, tables and links below it; without any of these it is not shown.

    Attributes:
        title: the heading; empty for what needs none.
        text: paragraphs, plain.
        pictures: figures of other reports, which make it one to read at a glance: beside the last table where there is
            room, tables set tightly, their notes below all.
        links: to other reports.
        collapsed: long; the HTML page folds it and the README only names its files.
    """

    title: str
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    collapsed: bool = False
    text: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.tables or self.figures or self.text or self.pictures or self.links)


@dataclass(frozen=True)
class Report:
    """One page and everything that is written beside it.

    Attributes:
        name: of its folder.
        main: name of the table that says most.
        intro: paragraphs, of which empty ones are not shown.
        warnings: what is said before anything else.
        sources: of curves that were not measured here.
        summary: what a terminal prints of it; empty for warnings and main table as text.
        worse: something got worse beyond its uncertainty since the accepted state.
        files: what stands beside the pages, tables and figures: path within the folder to bytes.
        kept: those of ``files`` that git tracks, as it does pages and figures; pages on hosting sites link no others.
    """

    name: str
    title: str
    main: str
    intro: tuple[str, ...]
    sections: tuple[Section, ...]
    warnings: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    summary: str = ""
    worse: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    @property
    def main_table(self) -> Table:
        """The table called ``main``."""
        return next(table for table in self.tables if table.name == self.main)

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [table for section in self.sections for table in section.tables]

    @property
    def written_files(self) -> list[str]:
        """Paths of the files that git does not track, beside those of tables, in order."""
        return [path for path in self.files if path not in self.kept and not path.startswith("tables/")]

    @property
    def figures(self) -> list[Figure]:
        """All figures, in order."""
        return [figure for section in self.sections for figure in section.figures]

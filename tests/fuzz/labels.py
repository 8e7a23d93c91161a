"""Labels of any letters in reports: no tags, links, macros, formulas or terminal codes."""

from __future__ import annotations

import csv
import io
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fuzz.trials import Generator, Trial
from hypothesis import strategies as st

from bench.common.text import align_columns, strip_controls
from bench.reports.page.files import list_contents, summarise_report
from bench.reports.page.pages import Report, Section
from bench.reports.page.table import Column, Table

NASTY = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table><b>",
         '" onload="x', "&lt;b&gt;",
         "a|b|c",
         "[x](javascript:alert(1))", "![x](http://x.org/y.png)", "`code`", "**bold**", "# head", "$E=mc^2$",
         "a\nb\r\nc",
         r"\input{/etc/passwd}", r"\write18{rm}", "%x", "100% & more_x #1 {y} ~z ^w", "{{ 7*7 }}", "{% for x in y %}",
         "<< 7*7 >>", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\b\b\b", "\u202etxt.exe", "a\0b",
         '=cmd|"/c calc"!A1', "=1+1", "+1+1", "-1+1", "@SUM(A1)", " =1+1", "\t=1+1", "\r=1+1", "\n=1+1",
         "＝1+1", "\x1b=1+1")
LABELS = st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=20),
                   st.lists(st.sampled_from(NASTY), min_size=2, max_size=3).map("".join))
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
MARKDOWN = r"\\\\|\\[|*`<>$\[\]]"


def make_report(label: str) -> Report:
    """A report that says ``label`` wherever text can be said."""
    columns = (Column("codec", "Codec", of=lambda record: record),
               Column("long", label, "dB", wide=True, of=lambda record: record))
    table = Table.from_records("main", label, columns, [label, "plain"], notes=[label], warnings=[label],
                               headings=[(1, label)], constants=[("dataset", label)])
    return Report(name="x", title=label, intro=(label,), warnings=(label,),
                  sections=(Section(label, (table,), text=(label,)),), sources=(label,), main="main")


class Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag + "".join(sorted(name for name, _ in attrs if name != "href")))


@cache
def list_harmless() -> dict[str, str]:
    return {name: content.decode() for name, content in list_contents(make_report("label")).items()}


def read(path: Path) -> Any:
    """Make a report with a label, and check that it is text in every file and on the terminal."""
    label = path.read_bytes().decode()
    contents = {name: content.decode() for name, content in list_contents(make_report(label)).items()}
    harmless = list_harmless()
    assert contents.keys() == harmless.keys()
    for name, text in contents.items():
        assert not CONTROLS.search(text.replace("\r\n", "\n") if name.endswith(".csv") else text), name

    tags, expected = (Tags(pages["index.html"]).found for pages in (contents, harmless))
    assert [tag for tag in tags if tag != "a"] == [tag for tag in expected if tag != "a"]  # addresses become links

    for name in ("README.md", "tables/main.md"):
        unescaped, plain = (re.sub(MARKDOWN, "", pages[name]) for pages in (contents, harmless))
        for special in "|*`<[]$":
            assert unescaped.count(special) == plain.count(special), (name, special)

    for row in csv.reader(io.StringIO(contents["tables/main.csv"], newline="")):
        row = [cell for cell in row if not re.fullmatch(r"\s*[+-]?[\d.]+\s*%?", cell)]
        assert not any(re.match(r"\s*[=+@＝＋－＠-]", cell) for cell in row)

    commands = {*re.findall(r"\\([A-Za-z]+|.)", contents["tables/main.tex"], re.DOTALL)}
    assert not commands & {"input", "write", "include", "def", "immediate", "catcode", "csname", "openout"}
    require_plain_terminal(label)
    return True


def require_plain_terminal(label: str) -> None:
    for text in (summarise_report(make_report(label)), "\n".join(align_columns([["a", "b"], [label, label]]))):
        assert not CONTROLS.search(text)
    stripped = strip_controls(label)
    assert strip_controls(stripped) == stripped and not CONTROLS.search(stripped)
    assert not label.isprintable() or stripped == label


LABELLED = Generator("labels", LABELS.map(lambda label: Trial({"label.txt": label.encode()}, True, refusable=False)),
                     read, 60)

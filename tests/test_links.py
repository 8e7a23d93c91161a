"""Relative links of what git tracks lead to what git tracks: pages of reports, and documents."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from bench.reports.page.pages import Link, Picture, Report, Section
from bench.reports.page.render import render_html, render_readme
from bench.reports.page.table import Column, Table

ROOT = Path(__file__).parents[1]
WRITTEN = re.compile(r'<p class="[^"]*written">.*?make report.*?</p>', re.DOTALL)  # links there are marked


def list_tracked() -> set[str]:
    """Paths of the checkout; of none where this is none."""
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True)
    return {name for name in done.stdout.split("\0") if name}


TRACKED = list_tracked()
FOLDERS = {str(folder) for name in TRACKED for folder in Path(name).parents}
PAGES = sorted(name for name in TRACKED if name.endswith((".md", ".html")) and (ROOT / name).is_file())


def find_links(text: str, suffix: str) -> list[str]:
    """Relative links of a page that nothing marks as written by a command."""
    if suffix == ".md":
        text = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        links = re.findall(r"(?<!\\)\]\(([^)\s#]+)(?:#[^)]*)?\)", text)
    else:
        links = re.findall(r'(?:href|src)="([^"#]+)', WRITTEN.sub("", text))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES)
def test_links_of_tracked_pages_lead_to_tracked_files(page: str) -> None:
    links = find_links((ROOT / page).read_text(encoding="utf-8"), Path(page).suffix)
    places = {link: os.path.normpath(Path(page).parent / link) for link in links}
    assert [link for link, place in places.items() if place not in TRACKED | FOLDERS] == []


def test_pages_link_what_git_keeps_and_name_the_rest() -> None:
    """A report with everything that a page can point to."""
    table = Table.from_records("numbers", "Numbers", [Column("n", "n", digits=0, of=int)], [1])
    sections = (Section("Shown", (table,), pictures=(Picture("kodak/figures/rd.png", "Curves"),),
                        links=(Link("kodak", "Kodak", "rates"),)), Section("Folded", (table,), collapsed=True))
    report = Report("all", "All", "numbers", (), sections, kept=("answer.json",),
                    files={"answer.json": b"{}", "claims.csv": b"", "tables/every.csv": b""})
    readme, page = render_readme(report), render_html(report)
    assert set(find_links(readme, ".md")) == {"index.html", "answer.json", "kodak/README.md", "kodak/figures/rd.png"}
    assert set(find_links(page, ".html")) == {"answer.json", "kodak/index.html", "kodak/figures/rd.png"}
    for name in ("`tables/`", "`claims.csv`", "`tables/numbers.csv`"):
        line = next(line for line in readme.splitlines() if name in line)
        assert "make report" in line
    (written,) = WRITTEN.findall(page)
    assert 'href="tables/"' in written and 'href="claims.csv"' in written and "answer.json" not in written

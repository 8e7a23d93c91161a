"""README.md is short, its links lead somewhere, and its numbers are those of the committed reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LONGEST = 120  # lines
# The front page's column that each of README's stands for, its first one apart.
FRONT_COLUMNS = (1, 3, 5, 8, 9, 11, 12)


def read_table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of all rows of Markdown tables by what stands first in them."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()
            if line.startswith("| ")]
    return {cells[0]: cells for cells in reversed(rows)}  # of one name the first counts


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?<!\\)\]\(([^)]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    path, _, anchor = target.partition("#")
    assert (ROOT / path).exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.M)
        assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_answer_is_that_of_the_front_page() -> None:
    front = read_table_rows((ROOT / "reports" / "README.md").read_text(encoding="utf-8"))
    answer = read_table_rows(README.partition("## The answer")[2].partition("\n## ")[0])
    answer.pop("", None)  # the headings
    assert len(answer) >= 10

    for name, cells in answer.items():
        shown = front[name]
        for cell, column in zip(cells[1:], FRONT_COLUMNS):
            assert cell == (shown[column] if column < len(shown) else "–"), (name, column)

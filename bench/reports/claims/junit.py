"""Claims for CI systems: JUnit XML and a short Markdown summary."""

from __future__ import annotations

import re
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from bench.claims.result import ClaimsResult
from bench.common.files import write_whole, writing
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, UNDECIDED
from bench.reports.claims.summary import change_text, counts_table, decided_tables
from bench.reports.claims.text import claimed_text, interval_text, measured_text
from bench.reports.page.render import TEMPLATES, escape_markdown, to_markdown

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 can't hold


def make_junit(result: ClaimsResult) -> bytes:
    """Return JUnit XML: one test case a judgement, and one a change against the accepted state.

    Only changes for the worse are failures: a refuted claim is a finding about its authors' figure. INVALID is an
    error; UNDECIDED and NOT MEASURED are skipped. Every case holds verdict and numbers as properties.
    """
    suites = {name: [one for one in result.judgements if one.miniature == miniature]
              for name, miniature in (("claims", False), ("miniatures", True))}
    return TEMPLATES.get_template("junit.xml.j2").render(
        suites=suites, changes=result.changes, errors=(INVALID,), skipped=(UNDECIDED, NOT_MEASURED),
        claimed_text=claimed_text, measured_text=measured_text, interval_text=interval_text, change_text=change_text,
        quote=lambda text: quoteattr(_replace_illegal(text)), escape=lambda text: escape(_replace_illegal(text)),
    ).encode()


def _replace_illegal(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def write_junit(result: ClaimsResult, path: Path) -> None:
    """Write :func:`make_junit` to ``path``.

    Raises:
        BenchError: the file can't be written.
    """
    with writing(path, "choose another file"):
        write_whole(path, make_junit(result))


def summary_markdown(result: ClaimsResult) -> str:
    """Return a short summary for CI systems: what got worse, verdicts counted, the claims that were decided."""
    tables = [counts_table(result), *decided_tables(result)]
    parts = ["# Claims", _worse_text(result), *(to_markdown(table, level=2) for table in tables)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _worse_text(result: ClaimsResult) -> str:
    if not result.worse:
        return ("Nothing got worse than in the accepted state." if result.compared
                else "Nothing was compared with an accepted state.")
    lines = [f"- **{escape_markdown(f'{one.kind} of {one.what}')}**: {escape_markdown(change_text(one))}"
             for one in result.worse]
    return "\n".join(["## Worse than the accepted state", "", *lines])

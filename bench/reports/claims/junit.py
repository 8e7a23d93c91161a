"""Claims for CI systems: JUnit XML and a short Markdown summary."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from bench.claims.result import Change, ClaimsResult, Judgement
from bench.common.files import writing
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, UNDECIDED
from bench.reports.claims.summary import change_text, counts_table, decided_tables
from bench.reports.claims.text import claimed_text, interval_text, measured_text
from bench.reports.page.render import escape_markdown, to_markdown

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 can't hold


def make_junit(result: ClaimsResult) -> bytes:
    """Return JUnit XML: one test case a judgement, and one a change against the accepted state.

    Only changes for the worse are failures: a refuted claim is a finding about its authors' figure. INVALID is an
    error; UNDECIDED and NOT MEASURED are skipped. Every case holds verdict and numbers as properties.
    """
    root = ElementTree.Element("testsuites", name="bench claims")
    for name, miniature in (("claims", False), ("miniatures", True)):
        suite = _add(root, "testsuite", name=name)
        for one in result.judgements:
            if one.miniature == miniature:
                _add_judgement(suite, one)
    regression = _add(root, "testsuite", name="regression")
    for change in result.changes:
        _add_change(regression, change)

    for suite in root:
        for key, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error"),
                          ("skipped", "testcase/skipped")):
            suite.set(key, str(len(suite.findall(path))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def write_junit(result: ClaimsResult, path: Path) -> None:
    """Write :func:`make_junit` to ``path``.

    Raises:
        BenchError: the file can't be written.
    """
    with writing(path, "choose another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_junit(result))


def _add_judgement(suite: ElementTree.Element, one: Judgement) -> None:
    claim = one.claim
    where = " ".join(f"[{text}]" for text in (one.where, one.evidence) if text)
    case = _add(suite, "testcase", classname=f"{suite.get('name')}.{claim.variant}",
                name=f"{claim.name} {where}".strip())
    _add_properties(case, verdict=one.verdict, claimed=claimed_text(claim), measured=measured_text(one),
                    interval=interval_text(one), contradicts=", ".join(claim.contradicts), source=claim.source)
    if one.verdict == INVALID:
        _add(case, "error", type=INVALID, message=one.reason)
    elif one.verdict in (UNDECIDED, NOT_MEASURED):
        _add(case, "skipped", message=f"{one.verdict}: {one.reason}")
    repeat = f"\nTo repeat or settle it: {one.command}" if one.command else ""
    _add(case, "system-out", f"{one.verdict}: {one.reason}{repeat}")


def _add_change(suite: ElementTree.Element, change: Change) -> None:
    case = _add(suite, "testcase", classname=f"regression.{change.kind}", name=change.what)
    _add_properties(case, accepted=change.before, now=change.after)
    if change.worse:
        _add(case, "failure", type=change.kind, message=change_text(change))
    _add(case, "system-out", change.reason)


def _add_properties(case: ElementTree.Element, **values: str | None) -> None:
    properties = _add(case, "properties")
    for name, value in values.items():
        if value:
            _add(properties, "property", name=name, value=value)


def _add(parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
    """Add an element, with what XML can't hold replaced."""
    legal = {key: NOT_XML.sub("\ufffd", value) for key, value in attributes.items()}
    element = ElementTree.SubElement(parent, tag, legal)
    element.text = None if text is None else NOT_XML.sub("\ufffd", text)
    return element


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

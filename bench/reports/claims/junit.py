"""Claims for CI systems: JUnit XML and a short Markdown summary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from bench.claims.result import Change, ClaimsResult, Judgement
from bench.common.errors import BenchError
from bench.metrics.statistics.verdicts import INVALID, NOT_MEASURED, UNDECIDED
from bench.reports.claims.summary import change_text, counts_table, decided_tables
from bench.reports.claims.text import claimed_text, interval_text, measured_text
from bench.reports.page.render import escape_markdown, to_markdown

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 can't hold


def junit(result: ClaimsResult) -> bytes:
    """Return JUnit XML: one test case a judgement, and one a change against the accepted state.

    Only changes for the worse are failures: a refuted claim is a finding about its authors' figure. INVALID is an
    error; UNDECIDED and NOT MEASURED are skipped. Every case holds verdict and numbers as properties.
    """
    root = ElementTree.Element("testsuites", name="bench claims")
    for name, judgements in (("claims", [one for one in result.judgements if not one.miniature]),
                             ("miniatures", [one for one in result.judgements if one.miniature])):
        _suite(root, name, (_judgement_case(name, one) for one in judgements))
    _suite(root, "regression", map(_change_case, result.changes))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def write_junit(result: ClaimsResult, path: Path) -> None:
    """Write :func:`junit` to ``path``.

    Raises:
        BenchError: the file can't be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(junit(result))
    except OSError as error:
        raise BenchError(f"can't write {path}: {error.strerror or error}", "choose another file") from error


def _suite(root: ElementTree.Element, name: str, cases: Iterable[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=name)
    suite.extend(cases)
    counted = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error",
               "skipped": "testcase/skipped"}
    for key, found in counted.items():
        suite.set(key, str(len(suite.findall(found))))


def _judgement_case(suite: str, one: Judgement) -> ElementTree.Element:
    claim = one.claim
    where = " ".join(f"[{text}]" for text in (one.where, one.evidence) if text)
    case = ElementTree.Element("testcase", classname=_legal(f"{suite}.{claim.variant}"),
                               name=_legal(f"{claim.name} {where}".strip()))
    _add_properties(case, verdict=one.verdict, claimed=claimed_text(claim), measured=measured_text(one),
                    interval=interval_text(one), contradicts=", ".join(claim.contradicts), source=claim.source)
    if one.verdict == INVALID:
        ElementTree.SubElement(case, "error", type=INVALID, message=_legal(one.reason))
    elif one.verdict in (UNDECIDED, NOT_MEASURED):
        ElementTree.SubElement(case, "skipped", message=_legal(f"{one.verdict}: {one.reason}"))
    said = [f"{one.verdict}: {one.reason}", *([f"To repeat or settle it: {one.command}"] if one.command else [])]
    ElementTree.SubElement(case, "system-out").text = _legal("\n".join(said))
    return case


def _change_case(change: Change) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=_legal(f"regression.{change.kind}"), name=_legal(change.what))
    _add_properties(case, accepted=change.before, now=change.after)
    if change.worse:
        ElementTree.SubElement(case, "failure", type=_legal(change.kind), message=_legal(change_text(change)))
    ElementTree.SubElement(case, "system-out").text = _legal(change.reason)
    return case


def _add_properties(case: ElementTree.Element, **values: str | None) -> None:
    properties = ElementTree.SubElement(case, "properties")
    for name, value in values.items():
        if value:
            ElementTree.SubElement(properties, "property", name=name, value=_legal(value))


def _legal(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


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

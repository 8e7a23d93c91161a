"""Judges the claims, and compares them with the accepted state."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import open_results
from bench.commands.report import report_on
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.files import write_whole, writing
from bench.common.text import format_count, suggest_name
from bench.results.stored import StoredResults

if TYPE_CHECKING:
    from bench.claims.catalogue import Claim
    from bench.claims.result import ClaimsResult

PAIRS = Path("claims", "pairs")  # folder within that of reports, which git ignores


def run(args: argparse.Namespace) -> int:
    """Judge, compare, report; 1 if something got worse."""
    if args.accept and args.names:
        raise ConfigurationError("only the whole state can be accepted", "leave the names away")
    if args.accept and args.strict:
        raise ConfigurationError("the accepted state is of the rows of all machines", "leave --strict away")
    results = open_results(args)
    if args.names or args.accept or args.junit or args.summary or args.no_report:
        worse = _judge(args, results)
    else:
        worse = report_claims(results, args.reports)
    if args.figures:
        draw_pairs(results, args.names, args.reports)
    return EXIT_INCOMPLETE if worse and not args.accept else EXIT_DONE


def report_claims(results: StoredResults, reports_dir: Path) -> bool:
    """Print what the report says, which is made where anything changed; return whether something got worse."""
    from bench.reports.kinds import build_reports

    (written,) = build_reports("claims", results, reports_dir)
    print(f"{written.summary}\nreport: {written.page}")
    return written.worse


def _judge(args: argparse.Namespace, results: StoredResults) -> bool:
    """Judge by the stored rows; return whether something got worse."""
    from bench.claims.state import collect_current_state, store_accepted_state
    from bench.reports.claims.junit import summary_markdown, write_junit
    from bench.reports.claims.summary import explain_open, summary_text

    result = judge_chosen(results, args.names)
    print(summary_text(result))
    if args.names and (reasons := explain_open([one for one in result.judgements if not one.sign_in_doubt])):
        print(f"\n{reasons}")
    if args.accept:
        files = store_accepted_state(collect_current_state(results, result.judgements), args.results)
        print(f"accepted: {', '.join(path.name for path in files)} in {files[0].parent}")
    if args.junit:
        write_junit(result, args.junit)
    if args.summary:
        with writing(args.summary):
            write_whole(args.summary, summary_markdown(result))
    if not args.no_report and not args.names:
        report_on("claims", open_results(args) if args.accept else results, args.reports)  # against the new state
    return bool(result.worse)


def judge_chosen(results: StoredResults, names: Sequence[str]) -> ClaimsResult:
    """Judge the claims that ``names`` choose; without names all, compared with the accepted state.

    Raises:
        BenchError: claims.yaml, a name, a file of rows or the accepted state is wrong.
    """
    from bench.claims.catalogue import load_claims
    from bench.claims.changes import compare_with_accepted
    from bench.claims.judgement import describe_correction, judge_results

    if not names:
        return results.derive(compare_with_accepted)
    chosen = choose_claims(load_claims(), names)
    result = results.derive(judge_results)  # all: the correction is for all claims, whichever are looked at
    shown = tuple(one for one in result.judgements if one.claim.name in chosen)
    return replace(result, judgements=shown, multiplicity=describe_correction(result.judgements, shown))


def draw_pairs(results: StoredResults, names: Sequence[str], reports_dir: Path) -> None:
    """Draw the curves that the claims of ``names`` compare, without names those of all claims.

    Raises:
        BenchError: claims.yaml, a name or a file of rows is wrong, or a file can't be written.
    """
    from bench.claims.catalogue import load_claims
    from bench.claims.judgement import judge_all
    from bench.reports.claims.pairs import write_pairs

    paths = write_pairs(judge_all(choose_claims(load_claims(), names).values(), results).pairs, reports_dir / PAIRS)
    print(f"drew {format_count(len(paths), 'pair')} of curves: {reports_dir / PAIRS}")


def choose_claims(claims: Mapping[str, Claim], names: Sequence[str]) -> dict[str, Claim]:
    """Return the claims that have one of ``names``, or are about a variant of that name; without names all.

    Raises:
        ConfigurationError: a name is neither a claim nor a variant that one is about.
    """
    about = {claim.variant for claim in claims.values()}
    for name in names:
        if name not in claims and name not in about:
            known = f"claims.yaml lists them; claims are about: {', '.join(sorted(about))}"
            raise ConfigurationError(f"'{name}' is no claim, and no claim is about it",
                                     suggest_name(name, sorted({*about, *claims}), known))
    return {name: claim for name, claim in claims.items()
            if not names or name in names or claim.variant in names}

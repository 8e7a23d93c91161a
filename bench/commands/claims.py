"""Judge what the authors of the variants claim, by the stored rows, and compare with the accepted state.

Verdicts: REPRODUCED, SUPPORTED, REFUTED, UNDECIDED, NOT MEASURED, INVALID, each with the numbers that decide it.
Exits with 1 when a measured number got worse beyond its uncertainty, a verdict fell or a row vanished since the
accepted state (results/baseline); a refuted claim is a finding, not a failure.

Examples:
  python -m bench claims                              judge, compare with the accepted state, write reports/claims
  python -m bench claims --accept                     and make this the accepted state
  python -m bench claims rwkv_phase1 weconv_2_memory  show only claims about a variant, or single ones
  python -m bench claims --junit claims.xml --summary claims.md
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.arguments import add_folder_arguments, add_strict_argument, open_results
from bench.commands.report import report_on
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.common.files import write_whole, writing
from bench.results.stored import StoredResults

if TYPE_CHECKING:
    from bench.claims.result import ClaimsResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``claims``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="show only these claims, or those about these "
                        "variants, and write no report (default: all)")
    parser.add_argument("--accept", action="store_true", help="make the present state the accepted one")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML, for CI systems")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write a short Markdown summary")
    parser.add_argument("--no-report", action="store_true", help="leave the report as it is")
    add_strict_argument(parser)
    add_folder_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Judge, compare, report; 1 if something got worse."""
    from bench.claims.state import collect_current_state, store_accepted_state
    from bench.reports.claims.junit import summary_markdown, write_junit
    from bench.reports.claims.summary import summary_text

    if args.accept and args.names:
        raise ConfigurationError("only the whole state can be accepted", "leave the names away")
    if args.accept and args.strict:
        raise ConfigurationError("the accepted state is of the rows of all machines", "leave --strict away")
    results = open_results(args)
    result = judge_chosen(results, args.names)
    print(summary_text(result))
    if args.accept:
        files = store_accepted_state(collect_current_state(results, result.judgements), args.results)
        print(f"accepted: {', '.join(path.name for path in files)} in {files[0].parent}")
    if args.junit:
        write_junit(result, args.junit)
    if args.summary:
        with writing(args.summary):
            write_whole(args.summary, summary_markdown(result))
    if not args.no_report and not args.names:
        report_on("claims", results, args.reports)
    return EXIT_INCOMPLETE if result.worse and not args.accept else EXIT_DONE


def judge_chosen(results: StoredResults, names: Sequence[str]) -> ClaimsResult:
    """Judge the claims that ``names`` choose; without names all, compared with the accepted state.

    Raises:
        BenchError: claims.yaml, a name, a file of rows or the accepted state is wrong.
    """
    from bench.claims.catalogue import load_claims
    from bench.claims.changes import compare_with_accepted
    from bench.claims.judgement import judge_results

    if not names:
        return results.derive(compare_with_accepted)
    claims = load_claims()
    about = {claim.variant for claim in claims.values()}
    for name in names:
        if name not in claims and name not in about:
            raise ConfigurationError(f"'{name}' is no claim, and no claim is about it",
                                     "claims.yaml lists them; claims are about: " + ", ".join(sorted(about)))
    result = results.derive(judge_results)  # all: the correction is for all claims, whichever are looked at
    return replace(result, judgements=tuple(one for one in result.judgements
                                            if one.claim.name in names or one.claim.variant in names))

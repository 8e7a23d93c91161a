"""Runs the whole job on a dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from bench.codecs.learned import GROUPS
from bench.commands.arguments import open_results
from bench.commands.engines import choose_engine
from bench.commands.evaluate import choose_measured, plan_evaluation, run_evaluation
from bench.commands.leftovers import merge_leftovers
from bench.commands.profile import latency_folder, plan_beside_baseline, run_profile
from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE
from bench.common.files import file_name, require_writable
from bench.common.text import format_count, list_names
from bench.datasets.own_folders import is_own_folder
from bench.reports.front.answer import FILE, Answer, read_answer
from bench.reports.front.text import format_answer, format_changes
from bench.reports.kinds import CLAIMS, FRONT, LOCAL, RATE, REPORTS, build_reports
from bench.results.machines import find_machine
from bench.results.rows import OK
from bench.results.store import Store
from bench.results.stored import LATENCY, StoredResults
from bench.runners.engines.setup import LOCAL as LOCAL_ENGINE
from bench.runners.evaluate.plan import EvaluationPlan, describe_plan
from bench.runners.evaluate.scope import Scope, choose_scope
from bench.runners.evaluate.selection import ALL, Chosen, NothingToRun, describe_missing
from bench.runners.evaluate.summary import exit_code
from bench.runners.machine import device_name, resolve_device
from bench.runners.machine_share import list_sharing_signs, usable_cores
from bench.runners.profile.expected import ProfileTimes
from bench.runners.profile.unprofiled import PlannedProfile, list_measured_here, plan_profile

REPORTED = (RATE, LATENCY, CLAIMS, FRONT, LOCAL)  # kinds, in the order in which they are built


def run(args: argparse.Namespace) -> int:
    """Run the verb; 1 if anything failed, differed, was named and is missing, or got worse."""
    merge_leftovers(args.results)
    store = Store(args.results)
    chosen = _choose_codecs(args)
    scope = choose_scope(args.dataset, chosen.specs, _list_named(args), store,
                         lambda dataset, specs: plan_evaluation(args, dataset, specs, chosen, store),
                         allow_partial=args.allow_partial)
    profile = _plan_profile(args, scope.plan)
    print(_describe_plan(args, scope, chosen, profile), flush=True)
    if scope.fault:
        print(scope.fault, file=sys.stderr)
    if args.plan:
        return EXIT_DONE

    require_writable(args.reports, "choose another folder with --reports")
    codes = [EXIT_INCOMPLETE if any(one.named for one in chosen.missing) else EXIT_DONE]
    if scope.plan:
        rows = run_evaluation(args, scope.plan, store)
        if args.detach and scope.plan.images_to_run:
            return EXIT_DONE  # there is nothing to report yet
        codes.append(exit_code(scope.plan, rows, leave_claimed=args.leave_claimed))
        measured = {row.name for own in rows.values() for row in own if row.status == OK}
        if names := [name for name in profile.names if name in measured]:
            codes.append(run_profile(args, *plan_beside_baseline(args, names)))
    _write_reports(args, scope.datasets)
    front = args.reports / (LOCAL if is_own_folder(scope.datasets[0]) else "")
    answer, focus = read_answer(front / FILE), _list_focus(args, chosen)
    _print_answer(args, scope, answer, focus)
    print(f"report: {front / 'index.html'}")
    for step in _list_steps(args, scope, chosen, answer, focus):
        print(f"next: {step}")
    worse = any(change.codec in focus or not focus for change in answer.worse)
    return max(*codes, EXIT_INCOMPLETE if worse else EXIT_DONE)


def _choose_codecs(args: argparse.Namespace) -> Chosen:
    """What the options ask for; nothing to measure where all of it is missing, and anything else is stored."""
    try:
        return choose_measured(args)
    except NothingToRun as nothing:
        if not StoredResults(args.results).datasets:
            raise
        return Chosen((), nothing.missing)


def _list_named(args: argparse.Namespace) -> list[str]:
    """The codecs that were named, groups left out."""
    return [*(name for name in args.codecs if name not in GROUPS), *filter(None, [args.variant])]


def _list_focus(args: argparse.Namespace, chosen: Chosen) -> list[str]:
    """The codecs that the answer is about; none stand for all."""
    if args.codecs == [ALL] and not args.variant:
        return []
    missing = (one.what for one in chosen.missing if one.named)
    return list(dict.fromkeys([*(spec.name for spec in chosen.specs), *missing]))


def _plan_profile(args: argparse.Namespace, plan: EvaluationPlan | None) -> PlannedProfile:
    """Choose what is profiled: the variants measured here that have no latency of this device."""
    elsewhere = choose_engine(args).engine != LOCAL_ENGINE  # this machine's times would say nothing of theirs
    measured = [] if plan is None or args.no_latency or elsewhere else list_measured_here(plan)
    if not measured:
        return PlannedProfile()

    device = resolve_device(args.device)
    folder = latency_folder(args.results, device_name(device))
    cases = StoredResults(args.results).latencies(folder.name).cases
    times = ProfileTimes(cases, device, args.threads or usable_cores(), args.results)
    planned = plan_profile(measured, cases, times)
    signs = [] if args.shared_machine or not planned.names else list_sharing_signs()
    return PlannedProfile(hindrance="; ".join(signs)) if signs else planned


def _describe_plan(args: argparse.Namespace, scope: Scope, chosen: Chosen, profile: PlannedProfile) -> str:
    if scope.plan:
        lines = [describe_plan(scope.plan)]
    else:
        lines = [f"missing: {text}" for text in describe_missing(chosen.missing)]
    notice = scope.notice if args.plan or (scope.plan and scope.plan.pending) else ""  # else it soon follows the answer
    return "\n".join(filter(None, [notice, *lines, profile.description]))


def _write_reports(args: argparse.Namespace, datasets: Sequence[str]) -> None:
    """Write the reports of these datasets, of latencies and of claims, and the front page."""
    results = open_results(args)
    for kind in REPORTED:
        found = REPORTS.get(kind).find(results)
        names = [name for name in datasets if file_name(name) in found] if kind == RATE else found
        for _ in build_reports(kind, results, args.reports, names) if names else ():
            pass  # what it says in short is in the answer


def _print_answer(args: argparse.Namespace, scope: Scope, answer: Answer, focus: Sequence[str]) -> None:
    changes = "" if args.strict else f"{format_changes(answer, focus)}\n\n"  # which are of the rows of all machines
    print(f"\n{format_answer(answer, scope.datasets, focus, find_machine())}\n\n{changes}", end="")
    if scope.notice:
        print(scope.notice)


def _list_steps(args: argparse.Namespace, scope: Scope, chosen: Chosen, answer: Answer,
                focus: Sequence[str]) -> Iterator[str]:
    """What a user may do next."""
    unseen = len(answer.changes) - len(answer.choose_changes(focus))
    if unseen:
        yield f"make claims shows {format_count(unseen, 'change')} of other codecs since the accepted state"
    elif answer.changes:
        yield 'make claims ARGS="--accept" makes this the accepted state, which the next run is compared with'
    if lacking := [one.what for one in chosen.missing if one.line]:
        yield (f"weights of what is missing ({list_names(lacking, most=3)}) go to checkpoints/VARIANT/LAMBDA.pth.tar: "
               "python -m bench variants; then the same command again")
    if args.no_latency and scope.plan and list_measured_here(scope.plan):
        yield "the same without --no-latency also profiles the variants that were measured here"

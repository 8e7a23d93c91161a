"""The report on trials of a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.common.text import format_count
from bench.metrics.rate.curves import MINIMUM_POINTS
from bench.reports.page.pages import Report, Section
from bench.reports.page.render import to_csv
from bench.reports.page.table import Column, Table
from bench.reports.search.plots import find_importances, list_figures
from bench.training.search.record import COMPLETE, FAILED, PRUNED, Trial, describe_setting
from bench.training.search.trials import RankedSetting, SearchAnalysis, TrialsAtLambda


def make_search_report(analysis: SearchAnalysis, name: str = "search", top: int = 5) -> Report:
    """Return the report of a search; trials.csv holds every trial.

    Args:
        name: of its folder.
        top: best settings shown first at each λ.
    """
    first = analysis.trials[0]
    names = [parameter for parameter, _ in first.setting]
    sections = [section for group in analysis.by_lambda for section in _describe_lambda(group, names, top)]
    sections += [_compare_across(analysis, names),
                 Section("RD cost over the parameters", figures=tuple(list_figures(analysis)))]
    title = f"Search of hyper-parameters{f': {first.variant}' if first.variant else ''}"
    return Report(name, title, sections[0].tables[0].name, (_summarise(analysis),), tuple(sections),
                  files={"trials.csv": to_csv(_list_trials(analysis, names)).encode()})


def _summarise(analysis: SearchAnalysis) -> str:
    counts = Counter(trial.state for trial in analysis.trials)
    return (f"{format_count(len(analysis.trials), 'run')} at {len(analysis.by_lambda)} λ: "
            f"{counts[COMPLETE]} complete, {counts[PRUNED]} ended early, {counts[FAILED]} failed. "
            "RD cost is D + R of held-out images at the best validation; it is compared within one λ only. Settings"
            f" less than {100 * analysis.noise:g} % apart are tied.")


def _describe_lambda(group: TrialsAtLambda, names: Sequence[str], top: int) -> list[Section]:
    """What is recommended at one λ and the best settings, then all of them where these are more."""
    text = ["No trial is complete, so none is recommended."]
    if best := group.recommended:
        text = [f"Recommended: {describe_setting(best[0].setting)}, RD cost {best[0].loss:.4f}"
                f" ({format_count(best[0].runs, 'run')})."]
    if tied := [describe_setting(ranked.setting) for ranked in group.recommended[1:]]:
        text.append(f"Tied with it: {'; '.join(tied)}.")
    if importances := find_importances(group):
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in importances.items())
        text.append(f"Importance of the parameters (PED-ANOVA): {shares}.")

    title, point = f"λ {group.lambda_:g}", f"{group.lambda_:g}".replace(".", "_")
    heading = f"Best {min(top, len(group.ranked))} of {format_count(len(group.ranked), 'setting')}"
    tables = [_tabulate_settings(f"settings_{point}", heading, group.ranked[:top], names)]
    if unranked := group.of_state(PRUNED, FAILED):
        columns = (*_value_columns(names), Column("state", "State", of=lambda trial: trial.state),
                   Column("steps", "Steps", digits=0, of=lambda trial: trial.steps),
                   Column("reason", "Why", wide=True, of=lambda trial: trial.reason))
        tables.append(Table.from_records(f"unranked_{point}", "Not ranked", columns, unranked))

    sections = [Section(title, tuple(tables), text=tuple(text))]
    if len(group.ranked) > top:
        everything = _tabulate_settings(f"all_settings_{point}", f"{title}: all settings", group.ranked, names)
        sections.append(Section(f"{title}: all settings", (everything,), collapsed=True))
    return sections


def _tabulate_settings(name: str, title: str, ranked: Sequence[RankedSetting], names: Sequence[str]) -> Table:
    columns = (
        Column("rank", "Rank", digits=0, of=lambda setting: setting.rank), *_value_columns(names),
        Column("runs", "Runs", digits=0, of=lambda setting: setting.runs),
        Column("loss", "RD cost", digits=4, of=lambda setting: setting.loss),
        Column("excess_percent", "Over the best", "%", 2, signed=True, of=lambda setting: 100 * setting.excess),
        Column("bpp", "Rate", "bpp", 4, of=lambda setting: setting.bpp),
        Column("psnr_rgb_db", "PSNR", "dB", 2, of=lambda setting: setting.psnr_db))
    several = any(setting.runs > 1 for setting in ranked)
    notes = ("Settings of several runs by the means over them.",) if several else ()
    return Table.from_records(name, title, columns, ranked, notes=notes)


def _compare_across(analysis: SearchAnalysis, names: Sequence[str]) -> Section:
    title = "Across λ"
    if analysis.metric != "mse":
        return Section(title, text=(f"Trainings for {analysis.metric} are not compared: trials hold PSNR only.",))
    if analysis.reference is None:
        return Section(title, text=("Nothing to compare with: the trials name no setting of the recipe's own, or "
                                    "several; choose one with --against.",))
    reference = describe_setting(analysis.reference)
    if not analysis.compared:
        return Section(title, text=(f"No setting has {MINIMUM_POINTS} λ in common with {reference}, which a BD-rate "
                                    "needs.",))

    columns = (
        Column("rank", "Rank", digits=0, of=lambda compared: compared.rank), *_value_columns(names),
        Column("lambdas", "λ", digits=0, of=lambda compared: len(compared.lambdas)),
        Column("bd_rate_percent", "BD-rate", "%", 2, signed=True, missing="N/A",
               of=lambda compared: compared.result.value),
        Column("reason", "Remarks", wide=True,
               of=lambda compared: compared.result.reason or "; ".join(compared.result.warnings)))
    note = "Of held-out rate and PSNR, over the λ that both settings have."
    return Section(title, (Table.from_records("across", f"BD-rate against {reference}", columns, analysis.compared,
                                              notes=(note,)),))


def _list_trials(analysis: SearchAnalysis, names: Sequence[str]) -> Table:
    columns: tuple[Column[Trial], ...] = (
        Column("lambda", "λ", of=lambda trial: trial.lambda_), *_value_columns(names),
        Column("state", "State", of=lambda trial: trial.state), Column("steps", "Steps", of=lambda trial: trial.steps),
        Column("loss", "RD cost", of=lambda trial: trial.loss), Column("bpp", "Rate", of=lambda trial: trial.bpp),
        Column("psnr_rgb_db", "PSNR", of=lambda trial: trial.psnr_db),
        Column("reason", "Why", of=lambda trial: trial.reason),
        Column("trial", "Trial", of=lambda trial: Path(trial.place).name))
    trials = sorted(analysis.trials, key=lambda trial: (trial.lambda_, trial.setting))
    return Table.from_records("trials", "Trials", columns, trials)


def _value_columns(names: Sequence[str]) -> tuple[Column[Any], ...]:
    def value_column(place: int, name: str) -> Column[Any]:
        return Column(name, name, of=lambda record: f"{record.setting[place][1]:.6g}")

    return tuple(value_column(place, name) for place, name in enumerate(names))

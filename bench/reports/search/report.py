"""The report on trials of a search, as the files of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.common.text import format_count
from bench.metrics.rate.curves import MINIMUM_POINTS
from bench.reports.page.render import escape_markdown, to_csv, to_markdown
from bench.reports.page.table import Column, Table
from bench.reports.search.plots import draw_figures, find_importances
from bench.training.search.record import COMPLETE, FAILED, PRUNED, Trial, describe_setting
from bench.training.search.trials import RankedSetting, SearchAnalysis, TrialsAtLambda


def build_search_report(analysis: SearchAnalysis, top: int = 5) -> dict[str, bytes]:
    """Files by name: README.md, trials.csv and the figures.

    Args:
        top: best settings shown first at each λ.
    """
    first, figures = analysis.trials[0], list(draw_figures(analysis))
    names = [name for name, _ in first.setting]
    parts = [f"# Search of hyper-parameters{f': {first.variant}' if first.variant else ''}\n", _summarise(analysis)]
    parts += [_write_section(group, names, top) for group in analysis.by_lambda]
    parts += ["## Across λ\n", _compare_across(analysis, names)]
    parts += [f"![{escape_markdown(figure.caption)}]({figure.name}.png)\n" for figure in figures]

    files = {"README.md": "\n".join(parts).encode(), "trials.csv": to_csv(_list_trials(analysis, names)).encode()}
    for figure in figures:
        files |= {f"{figure.name}.png": figure.png, f"{figure.name}.svg": figure.svg}
    return files


def _summarise(analysis: SearchAnalysis) -> str:
    complete, pruned, failed = (len(analysis.of_state(state)) for state in (COMPLETE, PRUNED, FAILED))
    return (f"{format_count(len(analysis.trials), 'run')} at {len(analysis.by_lambda)} λ: "
            f"{complete} complete, {pruned} ended early, {failed} failed. "
            "RD cost is D + R of held-out images at the best validation; it is compared within one λ only. Settings"
            f" less than {100 * analysis.noise:g} % apart are tied.\n")


def _write_section(group: TrialsAtLambda, names: Sequence[str], top: int) -> str:
    lines = [f"## λ {group.lambda_:g}\n"]
    if best := group.recommended:
        lines.append(f"Recommended: **{escape_markdown(describe_setting(best[0].setting))}**, RD cost"
                     f" {best[0].loss:.4f} ({format_count(best[0].runs, 'run')}).")
        if tied := [describe_setting(ranked.setting) for ranked in best[1:]]:
            lines.append(f"Tied with it: {'; '.join(tied)}.")
    else:
        lines.append("No trial is complete, so none is recommended.")
    if importances := find_importances(group):
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in importances.items())
        lines.append(f"Importance of the parameters (PED-ANOVA): {escape_markdown(shares)}.")

    settings = format_count(len(group.ranked), "setting")
    lines += ["", _tabulate_settings(group.ranked[:top], names, f"Best {min(top, len(group.ranked))} of {settings}")]
    if len(group.ranked) > top:
        table = _tabulate_settings(group.ranked, names, "All settings")
        lines.append(f"<details><summary>All settings</summary>\n\n{table}\n</details>\n")
    if unranked := group.of_state(PRUNED, FAILED):
        columns = (*_value_columns(names), Column("state", "State", of=lambda trial: trial.state),
                   Column("steps", "Steps", digits=0, of=lambda trial: trial.steps),
                   Column("reason", "Why", wide=True, of=lambda trial: trial.reason))
        lines.append(to_markdown(Table.from_records("unranked", "Not ranked", columns, unranked)))
    return "\n".join(lines)


def _tabulate_settings(ranked: Iterable[RankedSetting], names: Sequence[str], title: str) -> str:
    columns = (
        Column("rank", "Rank", digits=0, of=lambda setting: setting.rank), *_value_columns(names),
        Column("runs", "Runs", digits=0, of=lambda setting: setting.runs),
        Column("loss", "RD cost", digits=4, of=lambda setting: setting.loss),
        Column("excess_percent", "Over the best", "%", 2, signed=True, of=lambda setting: 100 * setting.excess),
        Column("bpp", "Rate", "bpp", 4, of=lambda setting: setting.bpp),
        Column("psnr_rgb_db", "PSNR", "dB", 2, of=lambda setting: setting.psnr_db))
    several = any(setting.runs > 1 for setting in ranked)
    notes = ("Settings of several runs by the means over them.",) if several else ()
    return to_markdown(Table.from_records("settings", title, columns, ranked, notes=notes))


def _compare_across(analysis: SearchAnalysis, names: Sequence[str]) -> str:
    if analysis.metric != "mse":
        return f"Trainings for {analysis.metric} are not compared: trials hold PSNR only.\n"
    if analysis.reference is None:
        return ("Nothing to compare with: the trials name no setting of the recipe's own, or several; choose one with"
                " --against.\n")
    reference = describe_setting(analysis.reference)
    if not analysis.compared:
        return f"No setting has {MINIMUM_POINTS} λ in common with {reference}, which a BD-rate needs.\n"
    columns = (
        Column("rank", "Rank", digits=0, of=lambda compared: compared.rank), *_value_columns(names),
        Column("lambdas", "λ", digits=0, of=lambda compared: len(compared.lambdas)),
        Column("bd_rate_percent", "BD-rate", "%", 2, signed=True, missing="N/A",
               of=lambda compared: compared.result.value),
        Column("reason", "Remarks", wide=True,
               of=lambda compared: compared.result.reason or "; ".join(compared.result.warnings)))
    note = "Of held-out rate and PSNR, over the λ that both settings have."
    return to_markdown(Table.from_records("across", f"BD-rate against {reference}", columns, analysis.compared,
                                          notes=(note,)))


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
    return tuple(Column(name, name, of=lambda record, place=place: f"{record.setting[place][1]:.6g}")
                 for place, name in enumerate(names))

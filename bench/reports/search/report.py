"""The report on trials of a search, as the files of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.common.text import format_count
from bench.metrics.rate.curves import MINIMUM_POINTS
from bench.reports.page.render import escape_markdown, to_csv, to_markdown
from bench.reports.page.table import Cell, Column, Table
from bench.reports.search.plots import heat_maps, loss_lines
from bench.training.search.record import Setting, Trial, told
from bench.training.search.trials import Analysis, AtLambda, Ranked

RESULT_COLUMNS = (
    Column("loss", "RD cost", digits=4), Column("excess_percent", "Over the best", "%", 2, signed=True),
    Column("bpp", "Rate", "bpp", 4), Column("psnr_rgb_db", "PSNR", "dB", 2),
)


def report_of(trials: Sequence[Trial], analysis: Analysis, top: int = 5) -> dict[str, bytes]:
    """Files by name: README.md, trials.csv and the figures.

    Args:
        trials: what ``analysis`` is of.
        top: best settings shown first at each λ.
    """
    names = [name for name, _ in trials[0].setting]
    figures = [*heat_maps(analysis), *loss_lines(analysis)]
    parts = [f"# Search of hyper-parameters{f': {trials[0].variant}' if trials[0].variant else ''}\n",
             _summary(analysis)]
    for group in analysis.by_lambda:
        parts.append(_section(group, names, top, analysis))
    parts.append(_across(analysis, names))
    parts += [f"![{escape_markdown(one.caption)}]({one.name}.png)\n" for one in figures]
    files = {"README.md": "\n".join(parts).encode(), "trials.csv": to_csv(_all_trials(trials, names)).encode()}
    for one in figures:
        files |= {f"{one.name}.png": one.png, f"{one.name}.svg": one.svg}
    return files


def _summary(analysis: Analysis) -> str:
    failed = sum(len(group.failed) for group in analysis.by_lambda)
    pruned = sum(len(group.pruned) for group in analysis.by_lambda)
    return (f"{format_count(analysis.runs, 'run')} at {len(analysis.by_lambda)} λ: "
            f"{analysis.runs - failed - pruned} complete, {pruned} ended early, {failed} failed. "
            "RD cost is D + R of held-out images at the best validation; it is compared within one λ only. Settings"
            f" less than {100 * analysis.noise:g} % apart are tied.\n")


def _section(group: AtLambda, names: Sequence[str], top: int, analysis: Analysis) -> str:
    lines = [f"## λ {group.lambda_:g}\n"]
    best = group.recommended
    if best:
        lines.append(f"Recommended: **{escape_markdown(told(best[0].setting))}**, RD cost {best[0].loss:.4f}"
                     f" ({format_count(best[0].runs, 'run')}).")
        if best[1:]:
            lines.append("Tied with it: " + "; ".join(told(one.setting) for one in best[1:]) + ".")
    else:
        lines.append("No trial is complete, so none is recommended.")
    lines.append("")
    first = _ranked(group.ranked[:top], names, f"Best {min(top, len(group.ranked))} of"
                    f" {format_count(len(group.ranked), 'setting')}", analysis)
    lines.append(to_markdown(first))
    if len(group.ranked) > top:
        lines.append("<details><summary>All settings</summary>\n\n"
                     + to_markdown(_ranked(group.ranked, names, "All settings", analysis)) + "\n</details>\n")
    if group.pruned or group.failed:
        lines.append(to_markdown(_unranked((*group.pruned, *group.failed), names)))
    return "\n".join(lines)


def _ranked(ranked: Sequence[Ranked], names: Sequence[str], title: str, analysis: Analysis) -> Table:
    columns = (Column("rank", "Rank", digits=0), *_value_columns(names), Column("runs", "Runs", digits=0),
               *RESULT_COLUMNS)
    rows = tuple((one.rank, *_values(one.setting), one.runs, one.loss, 100 * one.excess, one.bpp, one.psnr_db)
                 for one in ranked)
    notes = ("Settings of several runs by the means over them.",) if any(one.runs > 1 for one in ranked) else ()
    return Table("settings", title, columns, rows, notes)


def _unranked(trials: Sequence[Trial], names: Sequence[str]) -> Table:
    columns = (*_value_columns(names), Column("state", "State"), Column("steps", "Steps", digits=0),
               Column("reason", "Why", wide=True))
    rows = tuple((*_values(one.setting), one.state, one.steps, one.reason) for one in trials)
    return Table("unranked", "Not ranked", columns, rows)


def _across(analysis: Analysis, names: Sequence[str]) -> str:
    lines = ["## Across λ\n"]
    if analysis.metric != "mse":
        lines.append(f"Trainings for {analysis.metric} are not compared: trials hold PSNR only.\n")
    elif analysis.reference is None:
        lines.append("Nothing to compare with: the trials name no setting of the recipe's own, or several; choose one"
                     " with --against.\n")
    elif not analysis.compared:
        lines.append(f"No setting has {MINIMUM_POINTS} λ in common with {told(analysis.reference)}, which a BD-rate"
                     " needs.\n")
    else:
        columns = (Column("rank", "Rank", digits=0), *_value_columns(names), Column("lambdas", "λ", digits=0),
                   Column("bd_rate_percent", "BD-rate", "%", 2, signed=True, missing="N/A"),
                   Column("reason", "Remarks", wide=True))
        rows = tuple((one.rank, *_values(one.setting), len(one.lambdas), one.result.value,
                      one.result.reason or "; ".join(one.result.warnings)) for one in analysis.compared)
        lines.append(to_markdown(Table("across", f"BD-rate against {told(analysis.reference)}", columns, rows,
                                       ("Of held-out rate and PSNR, over the λ that both settings have.",))))
    return "\n".join(lines)


def _all_trials(trials: Sequence[Trial], names: Sequence[str]) -> Table:
    columns = (Column("lambda", "λ"), *_value_columns(names), Column("state", "State"), Column("steps", "Steps"),
               Column("loss", "RD cost"), Column("bpp", "Rate"), Column("psnr_rgb_db", "PSNR"),
               Column("reason", "Why"), Column("trial", "Trial"))
    rows: list[tuple[Cell, ...]] = [
        (one.lambda_, *_values(one.setting), one.state, one.steps, one.loss, one.bpp, one.psnr_db, one.reason,
         Path(one.place).name) for one in sorted(trials, key=lambda one: (one.lambda_, one.setting))]
    return Table("trials", "Trials", columns, tuple(rows))


def _value_columns(names: Sequence[str]) -> tuple[Column, ...]:
    return tuple(Column(name, name) for name in names)


def _values(setting: Setting) -> tuple[str, ...]:
    return tuple(f"{value:.6g}" for _, value in setting)

"""What a crosscheck gave, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.common.text import align_columns, list_names
from bench.results.crosschecks import FAILED, OUTCOMES, WRONG, Crosscheck
from bench.results.decoding_settings import label_setting
from bench.results.labels import label_codecs
from bench.results.portability import decodes_alike

_SHOWN = 20  # lines of failures


def summarise(rows: Sequence[Crosscheck]) -> str:
    """Return a table of how files came out, a line for each codec and setting, and the reasons of what did not."""
    if not rows:
        return "nothing was decoded"
    labels = label_codecs(rows)
    groups: dict[tuple[str, str, str], list[Crosscheck]] = {}
    for row in rows:
        groups.setdefault((row.name, row.decoder_setting, row.decoder_machine), []).append(row)

    machines = {machine for _, _, machine in groups}
    table: list[tuple[str, ...]] = [("codec", "decoded", "files", *OUTCOMES, "latents alike")]
    for (name, setting, machine), own in groups.items():
        where = label_setting(setting) + (f" on {machine}" if len(machines) > 1 else "")
        counts = Counter(row.outcome for row in own)
        table.append((labels[name], where, str(len(own)), *(str(counts[outcome]) for outcome in OUTCOMES),
                      _count_alike(own)))
    return "\n".join([*align_columns(table), *_list_reasons(rows)])


def _count_alike(rows: Sequence[Crosscheck]) -> str:
    """How many came out as they were coded; of codecs that don't tell their latents, by their pixels."""
    is_told = all(row.latents_match is not None for row in rows if row.failure is None)
    return f"{sum(map(decodes_alike, rows))} of {len(rows)}{'' if is_told else ' by pixels'}"


def _list_reasons(rows: Iterable[Crosscheck]) -> list[str]:
    """One line for each reason of a failure, and one for each picture that is wrong."""
    failed: dict[tuple[str, str, str], list[str]] = {}
    wrong = []
    for row in rows:
        if row.outcome == FAILED:
            reason = f"{row.failure}: {row.reason}"
            failed.setdefault((f"{row.name} {row.point}", row.decoder_setting, reason), []).append(row.image)
        elif row.outcome == WRONG:
            difference = f"up to {row.decode_max_abs_difference} levels" if row.reason is None else row.reason
            wrong.append(f"error: {row.what}: wrong without an error: {difference}")

    lines = [f"failed: {what} on {setting}: {list_names(images, most=3)}: {reason}"
             for (what, setting, reason), images in failed.items()]
    more = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"failed: and {more} more"] if more > 0 else []), *wrong]

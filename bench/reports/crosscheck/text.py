"""What the decodings came to in sentences, and what they can't say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from bench.common.text import format_count, list_names
from bench.reports.crosscheck.blocks import Block
from bench.results.crosschecks import FAILED, IDENTICAL, OFF_BY_ONE, WRONG, Crosscheck
from bench.results.decoding_settings import SAME, SETTINGS, DecodingSetting, label_setting
from bench.results.portability import decodes_alike, is_elsewhere

GPU = "cuda"  # what names of machines and settings that are GPUs begin with
HOW_OUTCOMES_COUNT = (
    "Each decoding counts once, by the decoded picture beside the encoder's own. \"identical\": every pixel; \"off by "
    "one\": one level at most; \"latents identical\": the same latents, and pixels further off; \"failed with an "
    "error\": no picture; \"wrong without one\": another picture."
)
HOW_LATENTS_COUNT = (
    "\"Latents alike\", whatever the pixels: the integer latents are those of the encoder; of files that don't tell "
    "theirs, every pixel is the same. What was decoded as it was encoded (\"same\") is shown to compare with."
)


def state_block(block: Block) -> str:
    """Say in one sentence how many files decode elsewhere, and whether anything was wrong without an error."""
    found = block.portability
    if not found.files:
        return f"{block.title}: nothing was decoded elsewhere."
    each = {len(files) for files in _list_files(block).values()}
    codecs = format_count(len(block.codecs), "codec")
    share = f"{found.files_alike} of {found.files} files of {codecs}"
    if found.files_alike == found.files and len(each) == 1 and len(block.codecs) > 1:
        number = each.pop()
        share = f"{number} of {number} files of each of {codecs}"
    settings = _count_settings(found.list_settings_per_file())
    return (f"{block.title}: {share} decode to {_name_criterion(found.rows)} under {settings}; "
            f"{_state_faults(len(found.failed), len(found.wrong), len(found.rows))}.")


def _name_criterion(rows: Iterable[Crosscheck]) -> str:
    """What was found identical: latents, or pixels of files that don't tell theirs."""
    told = {row.latents_match is not None for row in rows if row.failure is None}
    if told == {False}:
        return "identical pixels (they don't tell their latents)"
    return "identical latents" + (" (pixels, where latents are not told)" if False in told else "")


def _list_files(block: Block) -> dict[str, set[str]]:
    files: dict[str, set[str]] = {}
    for row in block.portability.rows:
        files.setdefault(row.name, set()).add(f"{row.key} {row.encoder_machine} {row.encoder_setting}")
    return files


def _count_settings(per_file: Sequence[int]) -> str:
    """How many other settings were tried, where not all files were decoded under all of them too."""
    fewest, most = min(per_file), max(per_file)
    if fewest < most:
        return f"every other setting that they were tried under, {fewest} to {most} each"
    return "the one other setting tried" if most == 1 else f"every one of {most} other settings tried"


def _state_faults(failed: int, wrong: int, decodings: int) -> str:
    errors = f"{failed} of {decodings} decodings failed with an error" if failed else ""
    pictures = f"{wrong} gave a wrong picture without one" if wrong else "nothing was wrong without an error"
    if wrong and not failed:
        pictures = f"{wrong} of {decodings} decodings gave a wrong picture without an error"
    return ", ".join(filter(None, (errors, pictures)))


def state_pixels(blocks: Iterable[Block]) -> str:
    """Say how far pixels were off where the latents are those that were coded; empty where nothing was alike."""
    alike = [row for block in blocks for row in block.portability.rows if decodes_alike(row)]
    if not alike:
        return ""
    alike_by = _name_criterion(alike)
    counts = [sum(row.outcome == outcome for row in alike) for outcome in (IDENTICAL, OFF_BY_ONE)]
    further = len(alike) - sum(counts)
    text = (f"Of {len(alike)} decodings elsewhere with {alike_by}, {counts[0]} have every pixel as the encoder "
            f"has it, and {counts[1]} are off by one level at most")
    return f"{text}; {further} are further off." if further else f"{text}, as the synthesis stays in float32."


def warn_of_faults(blocks: Iterable[Block]) -> tuple[str, ...]:
    """Name what gave a wrong picture, or did not decode as it was encoded, of files as they are written today."""
    rows = [row for block in blocks if not block.is_before for row in block.rows]
    faults = {
        "gave a wrong picture without an error": [row for row in rows if row.outcome == WRONG],
        "failed under the encoder's own setting": [row for row in rows if row.outcome == FAILED
                                                   and not is_elsewhere(row)],
    }
    return tuple(f"{format_count(len(found), 'decoding')} {what}: {list_names(row.what for row in found)}."
                 for what, found in faults.items() if found)


def _is_usual(setting: DecodingSetting, threads: Set[int | None]) -> bool:
    """Whether a setting only asks for as many threads as are usual."""
    return not setting.environment and setting.threads in threads - {None}


def state_limits(rows: Sequence[Crosscheck]) -> str:
    """Say what was not tried: GPUs, other processors, settings."""
    tried = {row.decoder_setting for row in rows if is_elsewhere(row)}
    machines = {machine for row in rows for machine in (row.encoder_machine, row.decoder_machine)}
    processors = {machine for machine in machines if not machine.startswith(GPU)}
    missing = []
    if len(machines) == len(processors):
        missing.append("a GPU")
    if len(processors) < 2:
        missing.append("a second processor")
    usual = {row.provenance.threads for row in rows if row.decoder_setting == SAME}
    missing += [f"{name} ({label_setting(name)})" for name in SETTINGS
                if name not in tried | {SAME, GPU} and not _is_usual(SETTINGS.get(name), usual)]
    versions = {row.provenance.libraries.get("torch", "") for row in rows} - {""}
    if len(versions) == 1:
        missing.append(f"another version of torch than {versions.pop()}")
    if not missing:
        return ""
    return (f"Not tried: {'; '.join(missing)}. What is said here holds for the settings in the table below, on these "
            "files; a setting is other code of the same libraries, and stands for a machine that has no better.")

"""Rows of files that were decoded under other settings: what they say, which count, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.cli import main
from bench.common.errors import EXIT_DONE, BenchError
from bench.results.crosschecks import (
    FAILED,
    IDENTICAL,
    LATENTS,
    OFF_BY_ONE,
    WRONG,
    Crosscheck,
    choose_crosschecks,
    crosscheck_key,
    store_crosscheck,
)
from bench.results.decoding_settings import SETTINGS, label_setting
from bench.results.rows import Provenance
from bench.results.stored import StoredResults

HERE = Provenance(device="cpu: Here", instructions="AVX2", flags={"ATEN_CPU_CAPABILITY": "default"})


def make_crosscheck(setting: str = "aten-default", difference: int | None = 0, **values) -> Crosscheck:
    given = dict(
        key="k", series="s", dataset="kodak", image="kodim01.png", image_sha256="1" * 64, name="hpcm_base_mini",
        label="HPCM-Base", point="0.013", miniature=True, format=2, stream_sha256="2" * 64,
        encoder_machine="cpu: Here, AVX2", decoder_setting=setting, latents_match=True,
        decode_max_abs_difference=difference, pixels_differing=None if difference is None else min(difference, 1),
        pixels_total=393216, provenance=HERE, measured_at="2026-11-30T20:00:00+00:00")
    return Crosscheck(**{**given, **values})


@pytest.mark.parametrize(("difference", "latents_match", "outcome"), [
    (0, True, IDENTICAL), (0, None, IDENTICAL), (0, False, WRONG),
    (1, True, OFF_BY_ONE), (1, None, OFF_BY_ONE), (1, False, WRONG),
    (2, True, LATENTS), (2, None, WRONG), (2, False, WRONG), (255, True, LATENTS),
])
def test_outcome_of_a_picture(difference: int, latents_match: bool | None, outcome: str) -> None:
    assert make_crosscheck(difference=difference, latents_match=latents_match).outcome == outcome


@pytest.mark.parametrize("latents_match", [True, False, None])
def test_an_error_is_a_failure_and_a_picture_of_another_size_wrong(latents_match: bool | None) -> None:
    row = make_crosscheck(difference=None, latents_match=latents_match, reason="decoded as 3x2, not 2x3")
    assert row.outcome == WRONG
    assert replace(row, failure="CodecError").outcome == FAILED


def test_a_line_is_read_as_it_was_written() -> None:
    for row in (make_crosscheck(), make_crosscheck(difference=None, failure="StreamError", reason="ends too early")):
        assert Crosscheck.from_json(row.to_json()) == row == Crosscheck.from_json(row.to_json().encode())


@pytest.mark.parametrize(("old", "new", "said"), [
    ('"decoder_setting"', '"setting"', "setting"),
    ('"latents_match":true', '"latents_match":1', "latents_match"),
    ('"decode_max_abs_difference":0', '"decode_max_abs_difference":256', "decode_max_abs_difference"),
    ('"decode_max_abs_difference":0', '"decode_max_abs_difference":0,"failure":"CodecError"', "failure"),
    ('"decode_max_abs_difference":0,', '', "decode_max_abs_difference"),
    ('"stream_sha256":"' + "2" * 64 + '",', '', "stream_sha256"),
])
def test_lines_that_are_no_rows_are_refused(old: str, new: str, said: str) -> None:
    line = make_crosscheck().to_json()
    assert old in line
    for changed in (line.replace(old, new), line.replace(old, new).encode()):
        with pytest.raises(ValueError, match=said):
            Crosscheck.from_json(changed)


def test_the_last_row_of_each_crossing_counts_and_the_series_stored_last() -> None:
    first = make_crosscheck()
    rows = [first, make_crosscheck("scalar"), replace(first, provenance=Provenance(device="cpu: There")),
            replace(first, encoder_machine="cpu: There"), replace(first, format=1, key="before")]
    again = make_crosscheck(difference=1)
    assert choose_crosschecks([*rows, again]) == [again, *rows[1:]]

    newer = [make_crosscheck(key="other weights", series="t")]
    assert choose_crosschecks([*rows, *newer]) == [rows[-1], *newer], "but for rows of another format"


def test_the_key_is_of_all_that_is_coded() -> None:
    def key(series="s", dataset="d", image="i", sha="0", exact=False, version=2) -> str:
        return crosscheck_key(series, dataset, image, sha, exact=exact, version=version)

    assert key() == key()
    others = [key("t"), key(dataset="e"), key(image="j"), key(sha="1"), key(exact=True), key(version=1)]
    assert len({key(), *others}) == 7


def test_rows_are_stored_read_and_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    before, after = make_crosscheck(difference=3), make_crosscheck()
    for row in (before, make_crosscheck("scalar"), after):
        store_crosscheck(tmp_path, row)
    assert StoredResults(tmp_path).crosschecks("kodak") == [after, make_crosscheck("scalar")]
    assert StoredResults(tmp_path).crosschecks("nothing") == [] and StoredResults(tmp_path).datasets == []

    path = tmp_path / "crosscheck" / "kodak" / "hpcm_base_mini.jsonl"
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(BenchError, match=r"hpcm_base_mini\.jsonl, line 4"):
        StoredResults(tmp_path).crosschecks("kodak")
    assert main(["results", "prune"]) == EXIT_DONE
    assert "1 superseded dropped, 1 damaged" in capsys.readouterr().out
    assert path.read_text().splitlines() == [make_crosscheck("scalar").to_json(), after.to_json()]


def test_every_setting_has_a_label_of_its_own() -> None:
    labels = [label_setting(name) for name in SETTINGS]
    assert len(set(labels)) == len(labels) and label_setting("of-a-later-version") == "of-a-later-version"

"""What a campaign counts, notices and keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import bounds, campaign
from fuzz.bounds import OutOfBounds, bounded
from fuzz.campaign import Failure, replay, run_inputs
from fuzz.trials import READ, REFUSED, Broken, Generator, Trial, read_trial
from hypothesis import strategies as st

from bench.common.errors import BenchError


def read_digit(path: Path) -> int:
    """A reader with faults: of "7" it gives another number, at "8" it dies, and its error names no file for "9"."""
    text = path.read_text()
    if text == "8":
        raise ValueError(text)
    if text in "69":
        raise BenchError(f"{path}: {text}" if text == "6" else "wrong digit")
    return 70 if text == "7" else int(text)


def make_generator(digits: str, **options: object) -> Generator:
    trials = st.sampled_from(digits).map(lambda digit: Trial({"a/b.txt": digit.encode()}, int(digit), **options))
    return Generator("digits", trials, read_digit, 50)


def test_outcomes_are_counted(tmp_path: Path) -> None:
    counts = run_inputs(make_generator("0123456"), 50, tmp_path)
    assert counts == {READ: 6, REFUSED: 1}


@pytest.mark.parametrize(("digits", "options", "said"), [
    ("0127", {}, "wrong: 70 in place of 7"), ("0128", {}, "ValueError: 8"),
    ("0129", {}, "does not name .*b.txt: wrong"),
    ("0126", {"refusable": False}, "refused what is right: .*b.txt: 6")])
def test_what_fails_is_in_a_file_that_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: str,
                                                         options: dict, said: str) -> None:
    generator = make_generator(digits, **options)
    with pytest.raises(Failure, match=said) as caught:
        run_inputs(generator, 50, tmp_path, seed=1)
    trial = Trial({"a/b.txt": digits[-1].encode()}, int(digits[-1]), **options)
    assert read_trial(caught.value.path) == ("digits", trial)

    monkeypatch.setitem(campaign.GENERATORS, "digits", generator)
    with pytest.raises((Broken, ValueError), match=said.removeprefix("ValueError: ")):
        replay(caught.value.path, tmp_path)


def test_time_and_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_S", 0.1)
    with pytest.raises(OutOfBounds, match="more than 0.1 s"), bounded():
        while True:
            pass

    monkeypatch.setattr(bounds, "MOST_S", 60.0)
    monkeypatch.setattr(bounds, "MOST_BYTES", 50_000_000)
    with pytest.raises(OutOfBounds, match=r"1\d\d MB"), bounded():
        bytearray(b"x") * 120_000_000
    monkeypatch.setattr(bounds, "SPARE_BYTES", 50_000_000)
    with pytest.raises(MemoryError), bounded():
        bytearray(b"x") * 120_000_000


def test_an_input_is_kept_while_it_is_tried(tmp_path: Path) -> None:
    """So that one that ends the process is not lost."""
    trial, current = Trial({"a.txt": b"deadly"}), tmp_path / f"{campaign.CURRENT}.json"
    kept = []
    run_inputs(Generator("deadly", st.just(trial), lambda path: kept.append(read_trial(current)), 1), 1, tmp_path)
    assert kept == [("deadly", trial)] and not current.exists()

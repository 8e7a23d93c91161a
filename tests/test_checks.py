"""What is checked of a decoded picture while it is scored."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from bench.codecs.base import Encoding
from bench.common.errors import CodecError
from bench.runners.evaluate.checks import MATCHES, Checker, Coded

ORIGINAL = np.arange(10 * 6 * 3, dtype=np.uint8).reshape(10, 6, 3)
DECODED = ORIGINAL // 2


class KnownCodec:
    """Decodes anything to one picture."""

    def __init__(self, picture: np.ndarray) -> None:
        self.picture = picture

    def encode(self, image: np.ndarray) -> Encoding:
        raise NotImplementedError

    def decode(self, stream: bytes) -> np.ndarray:
        return self.picture


def make_coded(**functions: Callable[[], object]) -> Coded:
    return Coded(ORIGINAL, Encoding(b"12345", **functions), DECODED, 5)


def score_slowly() -> str:
    time.sleep(0.05)
    return "score"


def check(checker: Checker, coded: Coded) -> dict:
    """As a run does it."""
    score, fields = checker.check_beside(score_slowly, coded)
    assert score == "score"
    return fields if "decode_matches" in fields else fields | checker.compare(coded)


def test_fields_are_the_same_beside_scoring_and_after_it() -> None:
    with Checker(KnownCodec(DECODED), uses_torch=False) as checker:
        after, beside = (check(checker, make_coded(estimate_bits=lambda: 39.0)) for _ in range(2))
        assert MATCHES.items() <= checker.check_beside(score_slowly, make_coded())[1].items()
    assert after == beside == {
        **MATCHES, "bytes_total": 5, "bpp": 40 / 60, "bpp_estimated": 39 / 60, "actual_over_estimated": 40 / 39,
        "stream_sha256": hashlib.sha256(b"12345").hexdigest(),
        "pixels_sha256": hashlib.sha256(ORIGINAL.tobytes()).hexdigest(),
        "reconstruction_sha256": hashlib.sha256(DECODED.tobytes()).hexdigest(),
    }


def test_a_picture_that_differs_is_found_beside_scoring_too() -> None:
    codec = KnownCodec(DECODED)
    with Checker(codec, uses_torch=False) as checker:
        assert check(checker, make_coded())["decode_matches"]
        codec.picture = DECODED.copy()
        codec.picture[3, 4, 1] += 7
        found = check(checker, make_coded())
        assert (found["decode_matches"], found["decode_max_abs_difference"]) == (False, 7)
        codec.picture = DECODED[1:]
        with pytest.raises(CodecError, match="decoder's"):
            check(checker, make_coded())


def test_what_a_core_does_not_make_while_metrics_are_computed_all_make_afterwards() -> None:
    places: list[str] = []

    def reconstruct_slowly() -> np.ndarray:
        places.append(threading.current_thread().name)
        time.sleep(0.2)
        return DECODED

    with Checker(KnownCodec(DECODED), uses_torch=False) as checker:
        for _ in range(3):
            check(checker, make_coded(reconstruct=reconstruct_slowly))
    assert set(places) == {threading.main_thread().name}


def test_without_a_core_of_its_own_nothing_runs_beside_scoring() -> None:
    running: list[str] = []

    def estimate_slowly() -> float:
        running.append("estimate")
        time.sleep(0.1)
        running.pop()
        return 39.0

    def reconstruct() -> np.ndarray:
        assert threading.current_thread() is threading.main_thread()
        return DECODED

    with Checker(KnownCodec(DECODED), uses_torch=False, has_core=False) as checker:
        coded = make_coded(estimate_bits=estimate_slowly, reconstruct=reconstruct)
        for _ in range(2):
            seen, fields = checker.check_beside(lambda: list(running), coded)
            assert seen == [] and fields["bpp_estimated"] == 39 / 60
            assert checker.compare(coded) == MATCHES


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_runs_on_when_a_picture_is_done(fails: bool) -> None:
    done: list[float] = []

    def estimate_slowly() -> float:
        time.sleep(0.2)
        done.append(time.monotonic())
        return 39.0

    def score() -> None:
        if fails:
            raise CodecError("no score")

    with Checker(KnownCodec(DECODED), uses_torch=False) as checker:
        try:
            checker.check_beside(score, make_coded(estimate_bits=estimate_slowly))
        except CodecError:
            assert fails
        assert done and done[0] <= time.monotonic()


def test_a_process_that_is_told_to_end_does_not_wait() -> None:
    told, may_end = threading.Event(), threading.Event()

    def wait_long() -> float:
        told.set()
        may_end.wait(20)
        return 39.0

    def end() -> None:
        told.wait(20)
        raise SystemExit(1)

    start = time.monotonic()
    with pytest.raises(SystemExit), Checker(KnownCodec(DECODED), uses_torch=False) as checker:
        checker.check_beside(end, make_coded(estimate_bits=wait_long))
    assert time.monotonic() - start < 10
    may_end.set()


def test_its_thread_has_one_core_and_the_others_theirs() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with Checker(KnownCodec(DECODED), uses_torch=True) as checker:
            torch.set_num_threads(3)
            _, fields = checker.check_beside(
                lambda: None, make_coded(estimate_bits=lambda: float(torch.get_num_threads())))
            assert fields["bpp_estimated"] == 1 / 60
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)

"""``python -m bench benchmark``: the list, the table of Bi-WKV, and how functions are timed side by side."""

import time

import pytest

from bench.benchmarks import BENCHMARKS, biwkv
from bench.benchmarks.benchmark import Timing, time_together
from bench.cli import main
from bench.operators import status


def test_benchmarks_are_listed(capsys):
    assert main(["benchmark"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{n}: {BENCHMARKS.get(n).summary}" for n in BENCHMARKS]


def test_an_unknown_benchmark_is_refused(capsys):
    assert main(["benchmark", "biwvk"]) == 2
    assert "did you mean biwkv?" in capsys.readouterr().err


@pytest.mark.parametrize("native", [True, False])
def test_biwkv_shows_both_implementations_and_the_floor(capsys, monkeypatch, native):
    if not native:
        monkeypatch.setenv("BENCH_NATIVE", "0")
    elif not status("cpu").native:
        pytest.skip(status("cpu").label)
    monkeypatch.setattr(biwkv, "SHAPES", {"here": (70, 8), "there": (33, 5)})
    monkeypatch.setattr(biwkv, "QUICK", ("there",))
    assert main(["benchmark", "biwkv", "--device", "cpu", "--quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(status("cpu").identity)
    rows = [line for line in lines if line.startswith("there")]
    assert len(rows) == 2 and not any(line.startswith("here") for line in lines)
    for row in rows:
        assert row.split()[1:3] == ["33", "5"]
        assert row.count("x") == (2 if native else 0) and ("none" in row) == (not native)


def test_the_floor_is_the_time_of_a_copy_for_the_bytes_that_move():
    timings = {"copy": Timing((2e-3,)), "plain forward": Timing((30e-3,)), "kernel forward": Timing((6e-3,)),
               "plain forward + backward": Timing((80e-3,)), "kernel forward + backward": Timing((16e-3,))}
    row = biwkv._row("s3", 10, 4, "forward", timings)
    assert (row["floor"], row["above floor"], row["faster"]) == ("3", "2.0x", "5.0x")  # 3 tensors; a copy moves 2
    row = biwkv._row("s3", 10, 4, "forward + backward", timings)
    assert (row["floor"], row["above floor"], row["faster"]) == ("8", "2.0x", "5.0x")


def test_functions_take_turns_after_a_warm_up():
    calls = []
    timings = time_together({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, "cpu", repeats=4)
    assert calls == ["a", "b"] * 5
    assert [len(timing.seconds) for timing in timings.values()] == [4, 4]


def test_a_slow_function_gets_three_rounds():
    timings = time_together({"slow": lambda: time.sleep(0.02)}, "cpu", repeats=50, budget=0.01)
    assert len(timings["slow"].seconds) == 3
    assert timings["slow"].median >= 0.02


def test_a_timing_shows_its_median_and_percentiles():
    assert str(Timing(tuple(number / 1000 for number in range(11)))) == "5 (1 to 9)"
    assert str(Timing((1.2345, 1.2345))) == "1234 (1234 to 1234)"

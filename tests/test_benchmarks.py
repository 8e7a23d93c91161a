"""``python -m bench benchmark``: the list, the table of Bi-WKV, and how functions are timed side by side."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from bench.benchmarks import BENCHMARKS, biwkv, commands, miniature, networks, training, variants, zoo
from bench.benchmarks.benchmark import BenchmarkReport, CallTimes, SideBySide, Spread, ratio_table, time_together
from bench.cli import main
from bench.commands import benchmark as command
from bench.models.pointwise import Conv1x1
from bench.operators import status
from bench.runners.profile.complexity import count_macs


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
    timings = {"copy": CallTimes((2e-3,)), "plain forward": CallTimes((30e-3,)), "kernel forward": CallTimes((6e-3,)),
               "plain forward + backward": CallTimes((80e-3,)), "kernel forward + backward": CallTimes((16e-3,))}
    row = biwkv._make_row("s3", 10, 4, "forward", timings)
    assert (row["floor"], row["above floor"], row["faster"]) == ("3", "2.0x", "5.0x")  # 3 tensors; a copy moves 2
    row = biwkv._make_row("s3", 10, 4, "forward + backward", timings)
    assert (row["floor"], row["above floor"], row["faster"]) == ("8", "2.0x", "5.0x")


def test_functions_take_turns_after_a_warm_up():
    calls = []
    timings = time_together({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=4)
    assert calls == ["a", "b"] * 5
    assert [len(timing.values) for timing in timings.values()] == [4, 4]


def test_a_slow_function_gets_three_rounds():
    timings = time_together({"slow": lambda: time.sleep(0.02)}, repeats=50, budget_s=0.01)
    assert len(timings["slow"].values) == 3
    assert timings["slow"].median >= 0.02


def test_a_timing_shows_its_median_and_percentiles():
    assert str(CallTimes(tuple(number / 1000 for number in range(11)))) == "5 (1 to 9)"
    assert str(CallTimes((1.2345, 1.2345))) == "1234 (1234 to 1234)"


def test_small_ratios_keep_their_digits():
    assert str(Spread((0.0064, 0.0066, 0.0068))) == "0.0066 (0.0064 to 0.0068)"
    assert str(Spread((1.5, 2.0, 2.5))) == "2.00 (1.60 to 2.40)"


def test_the_bare_networks_are_those_that_each_direction_calls():
    model = tiny_model()
    x = torch.rand(1, 3, 128, 128)
    calls = networks.record_calls(model, x)
    called = {direction: [module for module, _ in part] for direction, part in calls.items()}
    both = ["encode", "decode"]
    for name, directions in {"g_a": ["encode"], "h_a": ["encode"], "g_s": ["decode"], "h_s": both,
                             "y_spatial_prior_s3": both}.items():
        assert [direction for direction, modules in called.items() if getattr(model, name) in modules] == directions
    assert all(value.is_contiguous() for part in calls.values() for _, inputs in part for value in inputs)
    encoded = model.encode_image(x)
    whole = {"encode": lambda: model.encode_image(x),
             "decode": lambda: model.decode_image(tuple(encoded.streams.values()), encoded.shape)}
    for direction, part in calls.items():
        assert count_macs(lambda part=part: networks.run_calls(part)).macs == count_macs(whole[direction]).macs


def test_bare_networks_are_of_torchs_own_layers_with_the_same_values():
    model, x = tiny_model().eval(), torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        expected = model.g_a(x)
        networks.use_torch_layers(model)
        torch.testing.assert_close(model.g_a(x), expected, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(layer, Conv1x1) for layer in model.modules())


def test_variants_are_timed_in_turns_with_the_base(monkeypatch):
    calls: list[str] = []

    class Codec:
        def __init__(self, name: str) -> None:
            self.name = name

        def encode(self, image):
            calls.append(f"{self.name} encode")
            return SimpleNamespace(stream=b"")

        def decode(self, stream):
            calls.append(f"{self.name} decode")

    row, ratios = variants._time_beside_baseline("other", Codec("other"), Codec("base"), np.zeros((1, 1, 3)))
    assert calls[2:6] == calls[6:10] == ["base encode", "other encode", "base decode", "other decode"]
    assert [ratio.what for ratio in ratios] == ["other, encode, over hpcm_base", "other, decode, over hpcm_base"]
    assert row[""] == "other"


def test_the_zoo_benchmark_says_whether_rates_and_qualities_are_the_same():
    ours = zoo.Outcome(3.0, 5.0, (0.5, 0.25), (30.0, 31.0), (0.51, 0.26))
    same = zoo._make_row("a", ours, zoo.Outcome(6.0, 5.5, (0.5, 0.25), (30.0 + 2e-6, 31.0)))
    assert same["ratio"] == "0.50" and same["eval_model's"] == "the same"
    assert same["eval_model's PSNR"] == "2e-06 dB away"
    other = zoo._make_row("a", ours, zoo.Outcome(6.0, 5.5, (0.5, 0.3), (30.0, 31.0)))
    assert other["eval_model's"] == "0.5000, 0.3000"


def test_whole_evaluation_is_compared_with_all_that_its_rows_took():
    rows = [SimpleNamespace(encode_s=1.0, decode_s=2.0), SimpleNamespace(encode_s=2.0, decode_s=3.0)]
    table = miniature.make_table(15.0, rows, metrics_s=1.0)
    assert table == {"whole": 15.0, "encode": 3.0, "decode": 5.0, "metrics": 2.0, "rest": 5.0, "whole / parts": 1.5}


def test_training_is_timed_with_both_loaders_over_the_same_folder(tmp_path, monkeypatch, capsys):
    """On images so large that decoding them is most of the work, a loader that decodes them once is faster."""
    monkeypatch.setattr(training, "SHAPE", (1600, 1600))
    monkeypatch.setattr(training, "BATCH", 2)
    monkeypatch.setattr(training, "STEPS", 1)
    folder = training.write_photographs(tmp_path / "train", 3)
    report = training.compare_loaders(folder, tmp_path, "cpu", quick=True, given=True)
    assert f"3 images of {folder}" in report.text
    alone, steps = report.ratios
    assert alone.ratios.median < 1
    assert len(steps.ratios.values) == 3


def test_both_loaders_give_crops_of_the_same_images(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SHAPE", (256, 256))
    monkeypatch.setattr(training, "BATCH", 4)
    folder = training.write_photographs(tmp_path / "train", 4)
    decoded = training.decode_folders([folder], 256, tmp_path / "cache")
    pixels = {image.mean().round(6) for image in decoded.images()}
    here = training.load_here(training.RandomCrops(decoded, 256, 0), 0, "cpu")
    for loader in (here, training.load_plainly(folder, 0, "cpu")):
        batch = next(loader)
        assert batch.shape == (4, 3, 256, 256) and 0 <= float(batch.min()) and float(batch.max()) <= 1
        found = {float(round(crop.double().mean().item() * 255, 3)) for crop in batch}
        assert found <= {float(round(value, 3)) for value in pixels}


def test_ratios_at_their_goal_reach_it_and_those_above_do_not():
    ratios = [SideBySide("under", Spread((0.4, 0.5, 9.0)), 0.6), SideBySide("over", Spread((0.1, 0.7, 0.8)), 0.6),
              SideBySide("without", Spread((1.0,)))]
    assert [one.is_reached for one in ratios] == [True, False, None]  # by the median
    lines = ratio_table(ratios).splitlines()[2:]
    assert [line.split()[-1] for line in lines] == ["yes", "NO", "1"]


def test_commands_are_timed_in_turns_with_the_imports_on_a_copy_of_the_results(tmp_path, monkeypatch):
    calls = []

    def run(arguments, folder, exit_codes=(0,), **variables):
        calls.append(" ".join(arguments))
        assert list((folder / "results" / "set").iterdir()) and variables.get("BENCH_RESULTS") != str(tmp_path)
        return "", 1.0 if arguments[0] == "-c" else 3.0 if "train" in arguments else 0.25

    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "jpeg.jsonl").touch()
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    monkeypatch.setattr(commands, "run_python", run)
    ratios = {one.what: one for one in commands.run("cpu").ratios}
    whole_rounds = calls[len(commands.UNCHANGED):]
    length = len(whole_rounds) // commands.ROUNDS
    assert whole_rounds == commands.ROUNDS * whole_rounds[:length] and whole_rounds[0].startswith("-c import")
    slowest = ratios["train --help, over the imports"]
    assert slowest.ratios.median == 3.0 and not slowest.is_reached
    assert ratios["unchanged make claims, over the imports"].ratios.median == 0.25


def test_all_benchmarks_end_with_one_table_of_ratios(monkeypatch, capsys):
    def module(name):
        ratio = SideBySide(f"{name} over another", Spread((0.5,)), 0.6)
        report = BenchmarkReport(f"found {name}", [ratio])
        return SimpleNamespace(run=lambda device, quick, tell: tell("a part") or report)

    monkeypatch.setattr(command, "importlib", SimpleNamespace(import_module=module))
    assert main(["benchmark", "goals", "--device", "cpu"]) == 0
    output, progress = capsys.readouterr()
    with_goals = [name for name in BENCHMARKS if BENCHMARKS.get(name).has_goal]
    places = [output.index(f"found bench.benchmarks.{name}\n") for name in with_goals]
    assert places == sorted(places) and "found bench.benchmarks.training" not in output
    table = output[places[-1]:]
    assert all(f"bench.benchmarks.{name} over another" in table for name in with_goals)
    assert "left" in progress


def test_benchmarks_with_goals_take_ten_minutes():
    assert sum(BENCHMARKS.get(name).expected_s for name in BENCHMARKS if BENCHMARKS.get(name).has_goal) <= 600

"""The verb profile on a tiny model: rows, failures, resuming, configurations, synthetic weights, groups."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import TINY, tiny_model, write_variants

from bench.cli import main
from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, CodecError, ConfigurationError
from bench.common.hashing import digest_json
from bench.models import create_model
from bench.results.latency_rows import DECODE, ENCODE, OUT_OF_MEMORY, LatencyRow
from bench.results.stages import REST
from bench.results.store import append_row, read_rows
from bench.runners.profile import plan as latency_plan
from bench.runners.profile import run as profiling
from bench.runners.profile import subjects as latency_subjects
from bench.runners.profile.candidate import Candidate
from bench.runners.profile.complexity import count_macs, skipped_macs
from bench.runners.profile.configurations import CONFIGURATIONS
from bench.runners.profile.expected import ProfileTimes
from bench.runners.profile.plan import (
    Picture,
    Settings,
    group_subjects,
    make_forecast,
    parse_picture,
    row_identity,
    select_pending,
)
from bench.runners.profile.protocol import Protocol
from bench.runners.profile.run import Profiler, is_out_of_memory
from bench.runners.profile.subjects import build_codec, choose_subjects, make_picture
from bench.runners.profile.synthetic_weights import enliven_model
from bench.runners.progress import Progress

SETTINGS = Settings("cpu", (Picture(64, 64),), 1, Protocol(repeats=3, least=2, warmup_s=0),
                    {"threads": 1, "deterministic": False})


TIMES = ProfileTimes((), "cpu", 1)


def run_profiler(settings: Settings, rows: list[LatencyRow], *names: str, **more: object) -> None:
    """Profile variants in turns; nobody sees the progress."""
    groups = [choose_subjects(names, ["default"], "cpu")]
    progress = Progress(make_forecast(groups, settings, TIMES), stream=io.StringIO())
    profiler = Profiler(settings, rows.append, TIMES, progress, **more)
    for group in groups:
        profiler.measure(group, settings.pictures)


def profile_here(groups: list, settings: Settings, folder: Path, times: ProfileTimes) -> list[LatencyRow]:
    """Profile in this process, where a process of its own is not the point: its start takes seconds."""
    rows: list[LatencyRow] = []
    profiler = Profiler(settings, rows.append, times, Progress(make_forecast(groups, settings, times)))
    for group in groups:
        profiler.measure(group, settings.pictures)
    for row in rows:
        append_row(folder / f"{row.name}.jsonl", row)
    return rows


@pytest.fixture(autouse=True)
def variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A variants.yaml with the tiny model alone, and no checkpoint of it."""
    path = write_variants(tmp_path)
    monkeypatch.setenv("BENCH_VARIANTS", str(path))
    monkeypatch.setattr("bench.runners.profile.apart.profile_apart", profile_here)
    return path


def profile(tmp_path: Path, *arguments: str) -> tuple[int, list[LatencyRow]]:
    names = [] if arguments and not arguments[0].startswith("-") else ["tiny"]
    shape = [] if "--shapes" in arguments else ["--shapes", "64x64"]
    status = main(["profile", *names, *arguments, *shape, "--repeats", "3", "--budget", "5", "--device", "cpu",
                   "--no-deterministic", "--no-report", "--results", str(tmp_path / "results"),
                   "--reports", str(tmp_path / "reports")])
    return status, [row for path in sorted((tmp_path / "results").glob("latency/*/*.jsonl"))
                    for row in read_rows(path, LatencyRow)]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out stages, memory and operations, for tests of what is measured when."""
    for part in ("_measure_stages", "_measure_memory", "_complexity_fields"):
        monkeypatch.setattr(Candidate, part, lambda *rest: {})


def add_to(variants: Path, entries: str) -> None:
    variants.write_text(variants.read_text() + entries)


def test_both_directions_become_rows_with_everything(tmp_path, capsys):
    status, rows = profile(tmp_path)
    assert status == EXIT_DONE and [row.direction for row in rows] == [ENCODE, DECODE]
    parameters = sum(parameter.numel() for parameter in tiny_model().parameters())
    for row in rows:
        assert (row.status, row.name, row.width, row.height, row.batch) == ("ok", "tiny", 64, 64, 1)
        assert row.weights == "synthetic" and row.configuration == "default" and not row.changes_stream
        assert row.miniature and row.decode_matches is True and row.padding == (0, 0, 0, 0)
        assert len(row.samples_s) == 3 and row.warmup_s and row.first_s > 0
        assert sum(map(sum, row.stages_s.values())) == pytest.approx(sum(row.stage_totals_s))
        assert all(value >= 0 for value in row.stages_s[REST])
        assert row.parameters == parameters and row.unused_parameters == 0 and row.macs > 0
        assert row.peak_alloc_bytes > row.weights_bytes >= 4 * parameters
        assert row.peak_rss_bytes > 0 and row.state["before"] and row.state["in_turns"] == ["tiny"]
        assert 0 < sum(row.module_parameters.values()) <= parameters and sum(row.module_macs.values()) == row.macs
        assert row.identity["coder"] and row.provenance.threads == row.identity["threads"]
    assert len({row.session for row in rows}) == 1 and len({row.key for row in rows}) == 2
    model, (encode, decode) = tiny_model(), rows
    published = count_macs(lambda: model(torch.zeros(1, 3, 64, 64))).macs + skipped_macs(model, 64, 64)
    forward_macs = encode.module_macs["g_a"] + encode.module_macs["h_a"] + decode.macs + decode.skipped_macs
    assert forward_macs == pytest.approx(published, abs=0.5)
    assert rows[0].stage_calls["entropy coding"] == 2 and rows[1].stage_calls["entropy coding"] == 12
    shown = capsys.readouterr()
    assert "expected time" in shown.out and "tiny" in shown.out and "left" in shown.err


@pytest.mark.usefixtures("hasty")
def test_a_second_run_adds_rows_and_resuming_measures_nothing_twice(tmp_path):
    _, first = profile(tmp_path)
    _, resumed = profile(tmp_path, "--resume")
    assert len(resumed) == 2
    _, again = profile(tmp_path)
    assert len(again) == 4 and {row.key for row in again} == {row.key for row in first}
    _, larger = profile(tmp_path, "--resume", "--shapes", "64x64,128x64")
    assert len(larger) == 8 and {row.width for row in larger[4:]} == {64, 128}  # one session, so that sizes compare


def test_the_plan_says_which_checkpoint_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    checkpoint = tmp_path / "checkpoints" / "tiny" / "0.02.pth"
    checkpoint.parent.mkdir(parents=True)
    for part, fits in (("", True), ("student.net.", False)):
        torch.save({f"{part}{name}": value for name, value in tiny_model().state_dict().items()}, checkpoint)
        assert profile(tmp_path, "--plan") == (EXIT_DONE, [])
        told = capsys.readouterr().out
        assert ("will fail: tiny 0.02: 0.02.pth does not fit HPCM: missing: " in told) is not fits
        assert ("all names of the file begin with 'student.net.'" in told) is not fits


@pytest.mark.usefixtures("hasty")
def test_checkpoints_take_the_place_of_synthetic_weights(tmp_path):
    folder = tmp_path / "checkpoints" / "tiny"
    folder.mkdir(parents=True)
    torch.save(tiny_model().state_dict(), folder / "0.02.pth")
    _, rows = profile(tmp_path)
    assert {row.weights for row in rows} == {"checkpoint, λ 0.02"}
    image = make_picture(64, 64)
    assert rows[0].bpp == 8 * len(LearnedCodec(tiny_model(), "cpu").encode(image).stream) / 64**2


def test_an_image_in_its_own_size_and_a_batch(tmp_path):
    from PIL import Image

    Image.fromarray(make_picture(70, 50)).save(tmp_path / "own.png")
    status, rows = profile(tmp_path, "--image", str(tmp_path / "own.png"), "--batch", "2")
    assert status == EXIT_DONE
    assert {(row.width, row.height, row.batch, row.identity["image"]) for row in rows} == {(70, 50, 2, "own.png")}
    codec, image = LearnedCodec(tiny_model(), "cpu"), make_picture(70, 50)
    assert rows[0].macs == 2 * count_macs(lambda: codec.encode(image)).macs
    assert rows[0].padding == (29, 7, 29, 7)  # to 128x64


def test_configurations_are_rows_of_their_own(tmp_path, monkeypatch, capsys):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiled.append(function) or function)
    status, rows = profile(tmp_path, "--configurations", "default,contiguous,half-precision,compiled")
    labels = list(dict.fromkeys(row.configuration for row in rows))
    assert labels == ["default", "contiguous", "half precision", "compiled"]
    by_label = {row.configuration: row for row in rows if row.direction == ENCODE and row.status == "ok"}
    assert len({row.key for row in rows}) == 8 and len({row.session for row in rows}) == 1
    assert by_label["half precision"].changes_stream and not by_label["default"].changes_stream
    assert {row.macs for row in by_label.values()} == {by_label["default"].macs}
    assert len(compiled) == 4  # analysis, synthesis and both hyper transforms; compiling takes a minute
    assert status == EXIT_DONE and "half precision) writes other bytes" in capsys.readouterr().out


@pytest.mark.usefixtures("hasty")
def test_half_precision_that_decodes_otherwise_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(Candidate, "_matches", staticmethod(lambda encoding, decoded: False))
    status, rows = profile(tmp_path, "--configurations", "default,half-precision")
    assert status == EXIT_INCOMPLETE
    by_label = {row.configuration: row for row in rows}
    assert by_label["half precision"].status == "failed" and "differs" in by_label["half precision"].reason
    assert by_label["default"].status == "ok" and by_label["default"].decode_matches is False


@pytest.mark.usefixtures("hasty")
def test_a_model_that_fails_is_a_row_and_the_others_go_on(tmp_path, variants):
    add_to(variants, "  broken:\n    model: hpcm_base\n    lambdas: [0.01]\n    options: {M: 7}\n")
    status, rows = profile(tmp_path, "broken", "tiny")
    assert status == EXIT_INCOMPLETE
    assert [(row.name, row.status) for row in rows] == [
        ("broken", "failed"), ("broken", "failed"), ("tiny", "ok"), ("tiny", "ok")]
    assert "hpcm_base" in rows[0].reason and str(tmp_path) not in rows[0].reason


class Greedy(Candidate):
    """Runs out of memory while it is examined, as long as ``room`` says so."""

    room: dict[str, int] = {}

    def examine(self, picture, step) -> None:
        name = self._subject.name
        if self.room.get(name, 0) > 0:
            self.room[name] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        super().examine(picture, step)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("refusals", "statuses"), [(1, ["ok", "ok"]), (2, [OUT_OF_MEMORY] * 2)])
def test_out_of_memory_beside_others_is_tried_alone_and_then_a_row(refusals, statuses, variants, monkeypatch):
    add_to(variants, "  other:\n    model: hpcm_base\n    lambdas: [0.01]\n    options: {M: 16, N: 4, stages: [[8, 1]],"
                     " hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1], head_width: 8}\n")
    monkeypatch.setattr(Greedy, "room", {"tiny": refusals})
    rows: list[LatencyRow] = []
    run_profiler(SETTINGS, rows, "tiny", "other", build=Greedy)
    assert [row.status for row in rows if row.name == "other"] == ["ok", "ok"]
    found = [row for row in rows if row.name == "tiny"]
    assert [row.status for row in found] == statuses
    assert found[0].session != rows[0].session  # alone, it took no turns with the other
    assert statuses[0] == "ok" or "20.00 GiB" in found[0].reason


@pytest.mark.usefixtures("hasty")
def test_sizes_measured_beside_others_are_kept_when_a_larger_one_does_not_fit(variants, monkeypatch):
    add_to(variants, "  other:\n    model: hpcm_base\n    lambdas: [0.01]\n    options: {M: 16, N: 4, stages: [[8, 1]],"
                     " hyper_blocks: [1, 1, 1, 1], prior_s1_s2: [1, 1], prior_s3: [1, 1], head_width: 8}\n")

    class AtLarge(Candidate):
        refused = 0

        def examine(self, picture, step) -> None:
            if self._subject.name == "tiny" and picture.width == 128 and not AtLarge.refused:
                AtLarge.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().examine(picture, step)

    rows: list[LatencyRow] = []
    settings = replace(SETTINGS, pictures=(Picture(64, 64), Picture(128, 64), Picture(192, 64)))
    run_profiler(settings, rows, "tiny", "other", build=AtLarge)
    tiny = {row.width: row for row in rows if row.name == "tiny" and row.direction == ENCODE}
    assert len([row for row in rows if row.name == "tiny"]) == 6 and {row.status for row in rows} == {"ok"}
    assert tiny[64].state["in_turns"] == ["tiny", "other"]
    assert tiny[128].state["in_turns"] == tiny[192].state["in_turns"] == ["tiny"]


@pytest.mark.usefixtures("hasty")
def test_an_interrupted_run_keeps_what_has_enough_samples(monkeypatch):
    rows: list[LatencyRow] = []

    class Interrupted(profiling.Turns):
        def _call(self, name, seconds) -> None:
            if len(self.samples[name].samples_s) == 2 and name[1] == DECODE:
                raise KeyboardInterrupt
            super()._call(name, seconds)

    monkeypatch.setattr(profiling, "Turns", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_profiler(SETTINGS, rows, "tiny")
    assert [(row.direction, len(row.samples_s)) for row in rows] == [(ENCODE, 3), (DECODE, 2)]


def test_what_counts_as_out_of_memory():
    host = RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to")
    for error in (MemoryError(), torch.OutOfMemoryError("full"), host):
        assert is_out_of_memory(error)
        wrapped = CodecError("the model can't decode this file")
        wrapped.__cause__ = error
        assert is_out_of_memory(wrapped)
    for error in (RuntimeError("shapes differ"), ValueError("can't allocate memory")):
        assert not is_out_of_memory(error)


def test_traces_are_files_and_no_rows(tmp_path):
    status, rows = profile(tmp_path, "--trace")
    assert status == EXIT_DONE and rows == []
    files = sorted(path.name for path in (tmp_path / "reports" / "latency" / "traces").iterdir())
    stems = [f"tiny-default-64x64-{direction}-cpu" for direction in (DECODE, ENCODE)]
    assert files == sorted(f"{stem}{end}" for stem in stems for end in (".operators.txt", ".trace.json"))
    text = (tmp_path / "reports" / "latency" / "traces" / f"{stems[0]}.trace.json").read_text()
    assert "aten::convolution" in text and "bench stage: entropy coding" in text


@pytest.mark.parametrize("arguments", [["nothing"], ["--shapes", "768"], ["--shapes", "0x64"],
                                       ["--configurations", "faster"], ["--image", "no.png"]])
def test_bad_input_ends_with_its_exit_code(arguments, tmp_path):
    assert main(["profile", "--device", "cpu", "--results", str(tmp_path), "--no-report", *arguments]) == EXIT_BAD_INPUT


def test_a_part_of_a_machine_is_timed_only_where_that_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.nice", lambda change: 15)
    command = ["profile", "tiny", "--device", "cpu", "--shapes", "64x64", "--repeats", "1", "--no-report", "--results",
               str(tmp_path / "results")]
    monkeypatch.delenv("BENCH_SHARED_MACHINE", raising=False)
    assert main(command) == EXIT_BAD_INPUT
    assert "it runs at nice 15" in (said := capsys.readouterr().err) and "--shared-machine" in said
    assert not (tmp_path / "results").exists()

    assert main([*command, "--shared-machine"]) == 0
    rows = [row for path in (tmp_path / "results").rglob("*.jsonl") for row in read_rows(path, LatencyRow)]
    assert rows and {row.provenance.nice for row in rows} == {15}


@pytest.mark.parametrize("verb", [["profile"], ["benchmark", "coder"], ["evaluate", "--dataset", "sample"],
                                  ["evaluate", "--dataset", "sample", "--codecs", "jpeg"]])
def test_no_verb_falls_back_from_a_gpu_that_is_not_there(verb, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*verb, "--device", "cuda"]) == EXIT_BAD_INPUT
    assert "no usable GPU" in capsys.readouterr().err


def test_a_plan_measures_nothing(tmp_path, capsys):
    status, rows = profile(tmp_path, "--plan")
    assert status == EXIT_DONE and rows == [] and "64x64" in capsys.readouterr().out


def test_variants_too_large_together_are_paired_with_the_base(monkeypatch):
    monkeypatch.delenv("BENCH_VARIANTS")
    subjects = choose_subjects(["mbt2018_mean", "hpcm_base", "lalic"], ["default"], "cpu")
    assert group_subjects(subjects, SETTINGS) == [subjects]
    memory = type("Memory", (), {"available": 10**9})
    monkeypatch.setattr(latency_plan.psutil, "virtual_memory", lambda: memory)
    mean, base, lalic = subjects
    assert group_subjects(subjects, SETTINGS) == [[base, mean], [base, lalic]]
    assert group_subjects([mean, lalic], SETTINGS) == [[mean], [lalic]]


def test_weights_in_memory_are_estimated_from_the_model(monkeypatch):
    monkeypatch.delenv("BENCH_VARIANTS")
    (subject,) = choose_subjects(["hpcm_phi"], ["default"], "cpu")
    size = 4 * sum(parameter.numel() for parameter in create_model("hpcm_phi").parameters())
    assert latency_plan._weights_bytes(subject) == size


def test_all_full_width_variants_are_profiled_by_default(monkeypatch):
    monkeypatch.delenv("BENCH_VARIANTS")
    names = [subject.name for subject in choose_subjects([], ["default"], "cpu")]
    assert {"hpcm_base", "hpcm_large", "weconv_phase5", "lalic", "mbt2018_mean"} <= set(names)
    assert not {"hpcm_base_mini", "hpcm_1b", "cheng2020_attn"} & set(names)
    assert [one.name for one in choose_subjects(["hpcm_1b"], ["default", "cuda-graphs"], "cpu")] == ["hpcm_1b"]
    assert not any(name.startswith("balanced") for name in names)


def test_a_model_trained_otherwise_is_profiled_when_named_or_with_checkpoints(tmp_path, variants):
    entry = variants.read_text().split("variants:\n")[1].rstrip().replace("    miniature: true\n", "")
    others = [entry.replace("tiny:", f"{name}:", 1) for name in ("trained", "same")]
    variants.write_text("\n".join(["variants:", entry, *others]) + "\n")
    assert [one.name for one in choose_subjects([], ["default"], "cpu")] == ["tiny"]
    assert [one.name for one in choose_subjects(["same", "tiny"], ["default"], "cpu")] == ["same", "tiny"]
    (tmp_path / "checkpoints" / "trained").mkdir(parents=True)
    (tmp_path / "checkpoints" / "trained" / "0.01.pth").touch()
    assert [one.name for one in choose_subjects([], ["default"], "cpu")] == ["tiny", "trained"]


def test_what_is_done_is_left_out_but_the_base_stays(monkeypatch):
    monkeypatch.delenv("BENCH_VARIANTS")
    subjects = choose_subjects(["hpcm_base", "hpcm_phi", "hpcm_large"], ["default"], "cpu")
    keys = {subject.name: [digest_json(row_identity(subject, SETTINGS.pictures[0], direction, SETTINGS, "cpu: x"))
                           for direction in (ENCODE, DECODE)] for subject in subjects}

    def left(*done: str) -> list[str]:
        stored = [key for name in done for key in keys[name]]
        return [one.name for one in select_pending(subjects, SETTINGS, "cpu: x", stored)]

    assert left() == left("hpcm_base") == ["hpcm_base", "hpcm_phi", "hpcm_large"]
    assert left("hpcm_base", "hpcm_phi") == ["hpcm_base", "hpcm_large"]
    assert left(*keys) == []
    assert len({key for pair in keys.values() for key in pair}) == 6


def test_expected_time_follows_rounds_size_and_budget():
    one, two = (choose_subjects(["tiny"], names, "cpu") for names in (["default"], ["default", "contiguous"]))
    small = expect_s([two], SETTINGS)
    assert small == pytest.approx(2 * expect_s([one], SETTINGS))
    large = replace(SETTINGS, pictures=(Picture(640, 640),))
    rest = 2 * TIMES.expect_build("tiny", is_synthetic=True)
    assert expect_s([two], large) - rest == pytest.approx(100 * (small - rest))
    hurried = replace(large, protocol=replace(large.protocol, budget_s=0.0))
    assert expect_s([two], hurried) < expect_s([two], large)


def expect_s(groups: list, settings: Settings) -> float:
    return make_forecast(groups, settings, TIMES).left_s()


def test_groups_share_the_budget_of_sampling():
    settings = replace(SETTINGS, protocol=replace(SETTINGS.protocol, budget_s=90.0), groups=3)
    assert settings.protocol_for(settings.pictures[0]).budget_s == pytest.approx(30)
    group = choose_subjects(["tiny"], ["default", "contiguous"], "cpu")
    assert expect_s([group] * 3, settings) == pytest.approx(3 * expect_s([group], settings))


def test_resuming_knows_an_image_by_what_it_holds(tmp_path):
    (subject,) = choose_subjects(["tiny"], ["default"], "cpu")
    keys = []
    for name, shift in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "x.png"
        Image.fromarray(make_picture(64, 64, shift)).save(path)
        keys.append(digest_json(row_identity(subject, Picture(64, 64, path), ENCODE, SETTINGS, "cpu: x")))
    assert keys[0] != keys[1]


def test_a_configuration_that_the_device_lacks_is_refused():
    with pytest.raises(ConfigurationError, match="cuda-graphs can't be measured on cpu"):
        choose_subjects(["tiny"], ["cuda-graphs"], "cpu")


def test_shapes_are_width_by_height():
    assert parse_picture(" 768X512 ") == Picture(768, 512)


def test_the_picture_is_one_photograph_mirrored():
    large = make_picture(700, 600)
    assert large.shape == (600, 700, 3) and large.dtype == np.uint8
    small = make_picture(100, 80)
    assert np.array_equal(large[:80, :100], small)
    assert np.array_equal(large[:, 512:700], large[:, 511:323:-1])  # the first is 512 wide
    assert not np.array_equal(make_picture(100, 80, number=1), small)
    assert not np.array_equal(make_picture(100, 80, number=3), small)


@pytest.mark.parametrize(("name", "options"), [
    ("hpcm_base", TINY),
    ("multiref_phase3", TINY),
    ("rwkv_phase4", TINY),
    ("weconv_phase4", {**TINY, "stages": [[8, 1], [8, 1]], "attention_heads": 2}),
    ("lalic", {"N": 8, "dims": (8, 8, 8, 16, 8, 8), "depths": (1, 1, 1, 1), "groups": (8, 8), "rate": 1}),
    ("compressai:mbt2018-mean", {"quality": 1}),
    ("compressai:cheng2020-attn", {"quality": 1}),
    ("compressai:bmshj2018-hyperprior", {"quality": 1}),
])
def test_synthetic_weights_keep_the_coder_busy(name, options):
    torch.manual_seed(0)
    model = create_model(name, **options).eval()
    x = torch.from_numpy(make_picture(128, 128)).permute(2, 0, 1)[None] / 255
    predicted = enliven_model(model, x)
    assert 0.25 < predicted < 2
    codec = LearnedCodec(model, "cpu")
    encoding = codec.encode(make_picture(128, 128))
    padded = np.prod([128 + encoding.padding[i] + encoding.padding[i + 2] for i in (0, 1)])
    assert 8 * len(encoding.stream) / 128**2 == pytest.approx(predicted * padded / 128**2, rel=0.5)
    assert np.array_equal(codec.decode(encoding.stream), encoding.reconstruct())
    smaller = len(codec.encode(np.full((128, 128, 3), 128, np.uint8)).stream)
    assert smaller != len(encoding.stream)  # the symbols depend on the picture


def test_synthetic_weights_are_the_same_every_time():
    (subject,) = choose_subjects(["tiny"], ["default"], "cpu")
    torch.manual_seed(1)
    first = build_codec(subject, "cpu")[1].state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = build_codec(subject, "cpu")[1].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_configuration_has_its_devices():
    assert {name for name in CONFIGURATIONS if "cpu" not in CONFIGURATIONS.get(name).devices} == {"cuda-graphs"}
    assert latency_subjects.DEFAULT in CONFIGURATIONS

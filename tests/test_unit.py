"""A unit of work: what it measures, and that every fault is a row."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import socket
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import faulty_codecs
import numpy as np
import pytest
from msgspec.structs import replace as replace_row
from PIL import Image

from bench.codecs.base import CodecSpec, Encoding
from bench.common.errors import EXIT_BAD_INPUT, CodecError
from bench.common.files import DiskFull
from bench.metrics.quality import NoValue
from bench.metrics.quality.ms_ssim import ms_ssim
from bench.results.rows import FAILED, OK, Row
from bench.runners.evaluate.decoder_client import DecoderFailure, DecoderProcess
from bench.runners.evaluate.measure import run_unit
from bench.runners.evaluate.rates import rate_fields, rate_warning
from bench.runners.evaluate.unit import Unit, UnitImage, identify

FAULTY = faulty_codecs.FAULTY_WIDTH


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])


def make_unit(folder: Path, spec: CodecSpec, sizes: list[tuple[int, int]], **options: object) -> Unit:
    paths = sorted(faulty_codecs.write_images(folder, sizes).glob("*.png"))
    images = tuple(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest(), True)
                   for path in paths)
    return Unit(spec, "set", 9, images, **options)


def run(folder: Path, sizes: list[tuple[int, int]], step: int = 8, options: dict | None = None,
        **settings: str) -> list[Row]:
    rows = list(run_unit(make_unit(folder, faulty_codecs.spec(step, **settings), sizes, **(options or {}))))
    assert all(Row.from_json(row.to_json()) == row for row in rows)
    return rows


def test_row_of_a_known_codec_agrees_with_a_calculation_by_hand(tmp_path: Path) -> None:
    (row,) = run(tmp_path, [(30, 20)])
    original = np.asarray(Image.open(tmp_path / "image00.png"))
    quantised = original // 8
    body = zlib.compress(quantised.tobytes())
    decoded = quantised * 8 + 4
    mse = np.mean((original.astype(float) - decoded) ** 2)
    red, green, blue = np.moveaxis(original.astype(float) - decoded, -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert row.status == OK and row.reason is None and row.warnings == ()
    assert (row.width, row.height, row.padding) == (30, 20, (1, 2, 3, 4))
    assert (row.bytes_total, row.bytes_header, row.bytes_y) == (len(body) + 4, 4, len(body))
    assert row.bytes_z is None and row.bpp_of("z") is None
    assert row.bpp == pytest.approx(8 * (len(body) + 4) / 600, rel=1e-12)
    assert row.bpp == pytest.approx(row.bpp_of("y") + row.bpp_of("header"), rel=1e-12)
    assert row.bpp_estimated == pytest.approx(8 * len(body) / 600, rel=1e-12)
    assert row.actual_over_estimated == pytest.approx((len(body) + 4) / len(body), rel=1e-12)
    assert row.quality["psnr"] == pytest.approx(10 * math.log10(255**2 / mse), rel=1e-12)
    assert row.quality["psnr-y"] == pytest.approx(10 * math.log10(255**2 / np.mean(luma**2)), rel=1e-9)
    assert "ms-ssim" not in row.quality and "20 pixels" in row.quality_missing["ms-ssim"]
    assert row.decode_matches is True and row.decode_max_abs_difference == 0
    assert row.reconstruction_sha256 == hashlib.sha256(decoded.tobytes()).hexdigest()
    assert row.encode_s > 0 and row.decode_s > 0
    assert row.dataset_total == 9 and row.image_verified is True and row.label == "Deflate"


def test_row_says_nothing_of_hosts_and_paths(tmp_path: Path) -> None:
    rows = run(tmp_path, [(30, 20)]) + run(tmp_path, [(30, 20)], fault="build")
    (tmp_path / "image00.png").write_bytes(b"")
    rows += run_unit(make_unit(tmp_path, faulty_codecs.spec(), []))
    assert [row.status for row in rows] == [OK, FAILED, FAILED]
    for row in rows:
        assert str(tmp_path) not in row.to_json()
        assert "/somewhere" not in row.to_json() and socket.gethostname() not in row.to_json()
    assert "0.01.pth" in rows[1].reason and "image00.png" in rows[2].reason
    assert rows[0].provenance.device.startswith("cpu: ")


def test_same_measurement_has_the_same_key_and_another_one_not(tmp_path: Path) -> None:
    def keys(step: int = 8, **settings: str) -> list[str]:
        return [row.key for row in run(tmp_path, [(30, 20), (20, 30)], step, **settings)]

    first = keys()
    assert first == keys()
    assert len(set(first)) == 2
    assert not set(first) & set(keys(step=4))
    assert not set(first) & set(keys(other="setting"))


@pytest.mark.parametrize(("version", "reason"), [
    ("2", "another than when the run was planned: codec_version was '1', is '2'"),
    ("", "the program that says its version died"),
])
def test_rows_have_the_planned_keys_whatever_the_codec_is_where_they_are_made(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, reason: str) -> None:
    unit = make_unit(tmp_path, faulty_codecs.spec(), [(30, 20), (20, 30)])
    unit = replace(unit, series=identify(unit.spec))
    planned = [row.key for row in run_unit(unit)]
    monkeypatch.setenv("DEFLATE_VERSION", version)
    rows = list(run_unit(unit))
    assert [row.key for row in rows] == planned and all(reason in row.reason for row in rows)
    assert {row.status for row in rows} == {FAILED}


def test_rows_do_not_depend_on_which_images_come_before(tmp_path: Path) -> None:
    unit = make_unit(tmp_path, faulty_codecs.spec(), [(30, 20), (20, 30), (25, 25)])
    apart = [row for image in unit.images for row in run_unit(replace(unit, images=(image,)))]
    timeless = {"encode_s": None, "decode_s": None, "measured_at": "", "code_version": ""}
    assert [replace_row(row, **timeless) for row in run_unit(unit)] == [replace_row(row, **timeless) for row in apart]


@pytest.mark.parametrize(("fault", "reason"), [
    ("encode", "CodecError: will not have it"),
    ("memory", "MemoryError"),
    ("decode", "CodecError: in the decoder's process: damaged"),
    ("crash", "Crash: the decoder process died (SIGABRT)"),
    ("shape", "decoded as 40x19, not 40x20"),
])
def test_fault_on_one_image_fails_its_row_alone(tmp_path: Path, fault: str, reason: str) -> None:
    rows = run(tmp_path, [(30, 20), (FAULTY, 20), (20, 30)], fault=fault)
    assert [row.status for row in rows] == [OK, FAILED, OK]
    assert reason in rows[1].reason
    assert rows[1].bpp is None and rows[1].quality == {}


FIVE = [(30, 20), (FAULTY, 20), (20, 30), (25, 30), (26, 30)]


def test_hanging_decoder_is_ended_and_started_again(tmp_path: Path) -> None:
    """Though it ignores SIGTERM."""
    rows = run(tmp_path, FIVE, options={"decode_timeout_s": 6.0}, fault="hang")
    assert [row.status for row in rows] == [OK, FAILED, OK, OK, OK]
    assert rows[1].reason.startswith("Timeout: ")


def test_decoder_that_crashes_between_pictures_costs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFLATE_DELAY_S", "0.5")
    assert [row.status for row in run(tmp_path, FIVE[:3], fault="crash when done")] == [OK, OK, OK]


def test_decoder_that_dies_at_every_start_fails_each_picture_and_ends(tmp_path: Path) -> None:
    rows = run(tmp_path, FIVE, fault="die building decoder", log=str(tmp_path / "log"))
    assert [row.status for row in rows] == [FAILED] * 5
    assert all(row.reason == "Crash: the decoder process died (status 5)" for row in rows)
    assert (tmp_path / "log").read_text().count("build") == 1 + 5  # one in advance


def test_process_whose_gpu_answers_no_more_ends_after_the_row_that_says_why(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runners.evaluate.measure.is_gpu_usable", lambda: False)
    rows = run_unit(make_unit(tmp_path, faulty_codecs.spec(fault="encode"), FIVE[:3]))
    assert next(rows).status == OK
    assert "will not have it" in next(rows).reason
    with pytest.raises(SystemExit, match="answers no more"):
        next(rows)


def test_decode_mismatch_is_recorded_with_its_size(tmp_path: Path) -> None:
    rows = run(tmp_path, [(30, 20), (FAULTY, 20)], fault="mismatch")
    assert [row.status for row in rows] == [OK, OK]
    assert [row.decode_matches for row in rows] == [True, False]
    assert rows[1].decode_max_abs_difference == 2
    assert "image01.png" in rows[1].warnings[0]


def test_what_a_decoder_prints_does_not_reach_the_protocol(tmp_path: Path) -> None:
    rows = run(tmp_path, [(FAULTY, 20), (20, 30)], fault="noise")
    assert [row.decode_matches for row in rows] == [True, True]


def test_codec_that_can_not_be_built_fails_every_image(tmp_path: Path) -> None:
    rows = run(tmp_path, [(30, 20), (20, 30)], fault="build")
    assert [row.status for row in rows] == [FAILED, FAILED]
    assert all(row.reason == "CheckpointError: 0.01.pth: the weights do not fit" for row in rows)
    assert len({row.key for row in rows}) == 2
    whole, = run(tmp_path / "whole", [(30, 20)])
    assert all(row.provenance == whole.provenance for row in rows) and whole.provenance.cpus >= 1


def test_unreadable_image_is_a_failed_row(tmp_path: Path) -> None:
    unit = make_unit(tmp_path, faulty_codecs.spec(), [(30, 20), (20, 30)])
    path = Path(unit.images[0].path)
    path.write_bytes(path.read_bytes()[:-200])
    rows = list(run_unit(unit))
    assert [row.status for row in rows] == [FAILED, OK]
    assert rows[0].reason.startswith("ImageError: image00.png: ")


def test_identical_image_has_no_psnr_but_a_valid_row(tmp_path: Path) -> None:
    unit = make_unit(tmp_path, faulty_codecs.spec(1), [(176, 170)])
    (row,) = run_unit(unit)
    assert {"psnr", "psnr-y"} <= row.quality_missing.keys() and row.curve_quality("ms-ssim") is None
    assert row.quality == {"ms-ssim": 1.0} and "infinite" in row.quality_missing["psnr"]
    assert "infinite" in row.warnings[0] and "image00.png" in row.warnings[0]
    assert json.loads(row.to_json(), parse_constant=lambda name: pytest.fail(name))


def test_rate_beside_the_estimate_is_a_warning_that_names_the_image(tmp_path: Path) -> None:
    rows = run(tmp_path, [(300, 200), (FAULTY, 600)], step=2, fault="estimate")
    assert rows[0].warnings == ()
    assert any("image01.png" in text and "entropy model" in text for text in rows[1].warnings)


def test_full_disk_stops_the_unit_and_keeps_what_came_before(tmp_path: Path) -> None:
    rows = run_unit(make_unit(tmp_path, faulty_codecs.spec(8, fault="disk"), [(30, 20), (FAULTY, 20)]))
    assert next(rows).status == OK
    with pytest.raises(DiskFull) as caught:
        next(rows)
    assert caught.value.exit_code == EXIT_BAD_INPUT
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_streams_are_kept_where_wanted_and_decode_again(tmp_path: Path) -> None:
    (row,) = run(tmp_path / "in", [(30, 20)], options={"keep_streams": str(tmp_path / "out")})
    path = tmp_path / "out" / "set" / "deflate" / "s8" / "image00.png.bin"
    assert path.stat().st_size == row.bytes_total
    with DecoderProcess() as decoder:
        decoder.prepare(faulty_codecs.spec())
        decoded, _ = decoder.decode(path)
    assert hashlib.sha256(decoded.tobytes()).hexdigest() == row.reconstruction_sha256


def test_unit_is_plain_data(tmp_path: Path) -> None:
    unit = make_unit(tmp_path, faulty_codecs.spec(), [(30, 20)])
    assert json.loads(json.dumps(asdict(unit)))["spec"] == asdict(unit.spec)
    assert pickle.loads(pickle.dumps(unit)) == unit


def test_jpeg_decodes_in_a_process_without_torch(tmp_path: Path) -> None:
    from bench.codecs import CODECS

    spec = CODECS.get("jpeg").default_specs()[3]
    (row,) = run_unit(make_unit(tmp_path, spec, [(200, 180)]))
    assert row.status == OK and row.decode_matches is True
    assert 0.5 < row.quality["ms-ssim"] < 1
    assert row.curve_quality("ms-ssim") == pytest.approx(-10 * math.log10(1 - row.quality["ms-ssim"]))
    assert row.provenance.threads is None
    (tmp_path / "no_torch.py").write_text("import sys\nsys.modules['torch'] = None\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_PLUGINS", "no_torch")
        patch.setenv("PYTHONPATH", str(tmp_path))
        (row,) = run_unit(make_unit(tmp_path, spec, []))
    assert row.status == OK


def test_dead_decoder_says_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_PLUGINS", "there_is_no_such_module")
    (tmp_path / "stream").write_bytes(b"")
    with DecoderProcess() as decoder, pytest.raises(DecoderFailure) as caught:
        decoder.prepare(faulty_codecs.spec())
        decoder.decode(tmp_path / "stream")
    assert "there_is_no_such_module" in str(caught.value)


def scipy_ms_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """MS-SSIM of one plane in float64 after Wang, Simoncelli and Bovik (2003), with scipy's filters."""
    from scipy.ndimage import correlate1d, uniform_filter

    offsets = np.arange(11) - 5
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def smooth(plane: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(plane, window, 0), window, 1)[5:-5, 5:-5]

    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    c1, c2, result = (0.01 * 255) ** 2, (0.03 * 255) ** 2, 1.0
    for scale, weight in enumerate(weights):
        mean_a, mean_b = smooth(first), smooth(second)
        var_a, var_b = smooth(first**2) - mean_a**2, smooth(second**2) - mean_b**2
        both = smooth(first * second) - mean_a * mean_b
        contrast = (2 * both + c2) / (var_a + var_b + c2)
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        result *= (contrast * luminance if scale == 4 else contrast).mean() ** weight
        first, second = (uniform_filter(plane, 2, origin=-1)[::2, ::2] for plane in (first, second))
    return result


def test_ms_ssim_agrees_with_an_independent_calculation(tmp_path: Path) -> None:
    path = faulty_codecs.write_images(tmp_path, [(192, 176)]) / "image00.png"
    original = np.array(Image.open(path))
    noise = np.random.default_rng(1).normal(0, 12, original.shape)
    decoded = np.clip(original + noise, 0, 255).astype(np.uint8)
    expected = np.mean([scipy_ms_ssim(original[..., c].astype(float), decoded[..., c].astype(float))
                        for c in range(3)])
    assert ms_ssim(original, decoded) == pytest.approx(expected, abs=2e-5)


def test_ms_ssim_leaves_torch_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import pytorch_msssim
    import torch

    during = []
    monkeypatch.setattr(pytorch_msssim, "ms_ssim",
                        lambda *pair, data_range: during.append(torch.get_num_threads()) or 0.5)
    image = np.zeros((161, 161, 3), np.uint8)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert ms_ssim(image, image) == 0.5
        assert during == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("height", "width", "there"),
                         [(160, 400, False), (400, 160, False), (161, 161, True)])
def test_ms_ssim_needs_more_than_160_pixels(height: int, width: int, there: bool) -> None:
    image = np.full((height, width, 3), 100, np.uint8)
    if there:
        assert ms_ssim(image, image + 9) <= 1
        return
    with pytest.raises(NoValue, match="needs over 160"):
        ms_ssim(image, image + 9)


@pytest.mark.parametrize(("actual", "estimated", "warns"), [
    (100_000, 100_000, False), (104_900, 100_000, False), (98_100, 100_000, False),
    (106_000, 100_000, True), (97_000, 100_000, True), (150, 60, False), (1_500, 60, True),
])
def test_band_of_actual_over_estimated(actual: int, estimated: int, warns: bool) -> None:
    encoding = Encoding(b"", {"y": actual - 4, "header": 4}, estimate_bits=lambda: 8.0 * estimated)
    values = rate_fields(encoding, actual, 1000)
    assert (rate_warning("some.png", values) is not None) is warns


@pytest.mark.parametrize("encoding", [
    Encoding(b"", {"y": 5}), Encoding(b"", estimate_bits=lambda: float("nan")),
    Encoding(b"", estimate_bits=lambda: float("inf")),
])
def test_impossible_rates_are_errors(encoding: Encoding) -> None:
    with pytest.raises(CodecError):
        rate_fields(encoding, 10, 100)


def test_a_path_that_holds_another_picture_by_now_fails_alone(tmp_path: Path) -> None:
    """A row would else say that the planned picture was measured and verified."""
    unit = make_unit(tmp_path, faulty_codecs.spec(), [(30, 20), (30, 20)])
    first, second = (Path(image.path) for image in unit.images)
    assert first.read_bytes() != second.read_bytes()
    first.write_bytes(second.read_bytes())
    changed, same = run_unit(unit)
    assert changed.status == FAILED and changed.bpp is None
    assert "image00.png: holds another picture than when the run was planned" in changed.reason
    assert (same.status, same.image_verified) == (OK, True)

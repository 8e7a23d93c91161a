"""``python -m bench crosscheck``: files decoded under other settings, here and from an exported folder."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faulty_codecs
import numpy as np
import other_machine
import pytest
from PIL import Image
from tiny_models import picture, write_variants

from bench.cli import main
from bench.codecs.base import CodecSpec, Decoded
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, ConfigurationError
from bench.results.crosschecks import FAILED, IDENTICAL, OUTCOMES, WRONG, Crosscheck
from bench.results.decoding_settings import SETTINGS
from bench.results.store import read_rows
from bench.runners.crosscheck import exchange
from bench.runners.crosscheck.decode import compare_decoding
from bench.runners.crosscheck.options import choose_coded, find_format
from bench.runners.crosscheck.settings import choose_settings
from bench.runners.evaluate.unit import identify

SIZES = [(30, 20), (faulty_codecs.FAULTY_WIDTH, 20)]


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))


def know_deflate(patch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        patch.setenv(name, faulty_codecs.environment()[name])


@pytest.fixture
def deflate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec of :mod:`faulty_codecs` is there in every process."""
    know_deflate(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return faulty_codecs.write_images(tmp_path / "pictures", SIZES)


def crosscheck(folder: Path, *options: str, codecs: str = "deflate", on: str = "same,threads-1") -> int:
    return main(["crosscheck", "--dataset", str(folder), "--codecs", codecs, "--decode-on", on, *options])


def found_in(results: Path, name: str = "deflate", dataset: str = "pictures") -> list[Crosscheck]:
    path = results / "crosscheck" / dataset / f"{name}.jsonl"
    return read_rows(path, Crosscheck) if path.exists() else []


def test_a_miniatures_file_is_decoded_under_another_instruction_set(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture(128, 64)).save(tmp_path / "pictures" / "crop.png")
    code = crosscheck(tmp_path / "pictures", "--points", "0.0018", codecs="rwkv_phase1_mini", on="same,aten-default")
    if code == EXIT_BAD_INPUT:
        pytest.skip("the miniatures' checkpoints are not here")
    same, other = found_in(tmp_path / "results", "rwkv_phase1_mini")
    assert same.outcome == IDENTICAL and same.miniature and same.format == 2 and not same.exact
    assert same.latents_match and same.checked
    assert (same.provenance.flags, other.provenance.flags) == ({}, {"ATEN_CPU_CAPABILITY": "default"})
    assert (same.key, same.stream_sha256, same.encoder_machine) == (other.key, other.stream_sha256,
                                                                    other.decoder_machine)
    assert other.outcome in OUTCOMES and code == (EXIT_INCOMPLETE if other.outcome == WRONG else EXIT_DONE)


def test_what_is_stored_is_not_decoded_again(folder: Path, tmp_path: Path, deflate: None,
                                             capsys: pytest.CaptureFixture) -> None:
    assert crosscheck(folder, "--points", "s4", "--images", "1", on="same") == EXIT_DONE
    assert crosscheck(folder, on="same,threads-1") == EXIT_DONE
    rows = found_in(tmp_path / "results")
    done = [(row.point, row.image, row.decoder_setting) for row in rows]
    assert len(set(done)) == len(done) == 8 and {row.outcome for row in rows} == {IDENTICAL}

    capsys.readouterr()
    assert crosscheck(folder) == EXIT_DONE and len(found_in(tmp_path / "results")) == 8
    output = capsys.readouterr().out
    assert "nothing to run" in output and output.count("Deflate ") == 2, "what is stored is shown"
    assert crosscheck(folder, "--plan", "--remeasure") == EXIT_DONE and len(found_in(tmp_path / "results")) == 8
    assert crosscheck(folder, "--remeasure", "--points", "s4", "--images", "1", on="same") == EXIT_DONE
    assert len(found_in(tmp_path / "results")) == 9


def test_another_picture_of_the_same_name_is_another_file(folder: Path, tmp_path: Path, deflate: None) -> None:
    assert crosscheck(folder, "--images", "1", "--points", "s4", on="same") == EXIT_DONE
    Image.fromarray(picture(30, 20)).save(folder / "image00.png")
    assert crosscheck(folder, "--images", "1", "--points", "s4", on="same") == EXIT_DONE
    assert len({row.key for row in found_in(tmp_path / "results")}) == 2


def test_codecs_are_asked_for_in_an_older_format_or_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    (tmp_path / "checkpoints" / "tiny").mkdir(parents=True)
    (tmp_path / "checkpoints" / "tiny" / "0.01.pth").write_bytes(b"weights")

    def choose(**options: Any) -> CodecSpec:
        (spec,) = choose_coded(["tiny"], ["0.01"], **{"exact": False, "version": None, **options}).specs
        return spec

    usual, first, exact = choose(), choose(version=1), choose(exact=True)
    assert choose(version=2) == usual and "format" not in usual.settings and find_format(usual) == 2
    assert first.name == usual.name and first.settings == {**usual.settings, "format": 1} and find_format(first) == 1
    assert (exact.name, exact.settings["label"]) == ("tiny_exact", f"{usual.settings['label']}, exact")
    assert exact.settings["exact"] is True and len({identify(spec).digest for spec in (usual, first, exact)}) == 3
    assert choose_coded(["tiny_exact"], ["0.01"], exact=True, version=None).specs == (exact,), "as a manifest calls it"


@pytest.mark.parametrize(("given", "expected", "match", "checked"), [
    (7, 7, True, True), (7, 8, False, True), (None, 7, None, None), (7, None, None, None), (0, 0, True, True),
])
def test_latents_are_compared_where_both_sides_tell_them(given: int | None, expected: int | None,
                                                         match: bool | None, checked: bool | None) -> None:
    pixels = np.full((2, 3, 3), 255, np.uint8)
    encoded = pixels.copy()
    encoded[1, 2] = 254, 255, 252
    encoded[0, 0, 0] = 0
    assert compare_decoding(Decoded(pixels, given, checked=True), encoded, expected) == {
        "latents_match": match, "checked": checked, "decode_max_abs_difference": 255, "pixels_differing": 2,
        "pixels_total": 6}
    found = compare_decoding(Decoded(pixels[1:], given, checked=True), encoded, expected)
    assert found["reason"] == "decoded as 3x1 pixels, not 3x2" and "decode_max_abs_difference" not in found


@pytest.mark.parametrize(("fault", "outcome", "said"), [
    ("mismatch", WRONG, "error: deflate s4 image01.png on same: wrong without an error: up to 2 levels"),
    ("shape", WRONG, "decoded as 40x19 pixels, not 40x20"),
    ("decode", FAILED, "CodecError: damaged"),
    ("crash", FAILED, "Crash: "),
])
def test_errors_are_found_and_only_silent_ones_end_badly(folder: Path, tmp_path: Path, deflate: None, fault: str,
                                                         outcome: str, said: str, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("DEFLATE_FAULT", fault)
    code = crosscheck(folder, "--points", "s4", on="same")
    assert code == (EXIT_INCOMPLETE if outcome == WRONG else EXIT_DONE)
    assert [row.outcome for row in found_in(tmp_path / "results")] == [IDENTICAL, outcome]
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("fault", "said", "left"), [
    ("encode", "can't be encoded: CodecError: will not have it", 1),
    ("die", "can't be encoded: EncoderDied", 1),
    ("build", "can't be encoded: CheckpointError", 0),
])
def test_what_can_not_be_encoded_is_named(folder: Path, tmp_path: Path, deflate: None, fault: str, said: str,
                                          left: int, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("DEFLATE_FAULT", fault)
    assert crosscheck(folder, "--points", "s4", on="same") == EXIT_INCOMPLETE
    assert said in capsys.readouterr().out and len(found_in(tmp_path / "results")) == left


def test_an_image_that_kills_its_encoder_costs_no_other(tmp_path: Path, deflate: None,
                                                        monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("DEFLATE_FAULT", "kill")
    images = faulty_codecs.write_images(tmp_path / "pictures", [*SIZES, (20, 30), (25, 30)])
    assert crosscheck(images, "--points", "s4", on="same") == EXIT_INCOMPLETE
    assert [row.image for row in found_in(tmp_path / "results")] == ["image00.png", "image02.png", "image03.png"]
    assert "image01.png: can't be encoded: EncoderDied: the process that encodes died (SIGKILL)" in (
        capsys.readouterr().out)


def test_settings_that_are_not_here_are_said(folder: Path, tmp_path: Path, deflate: None,
                                             monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert crosscheck(folder, on="sideways") == EXIT_BAD_INPUT
    assert "no setting of decoding 'sideways'" in capsys.readouterr().err

    monkeypatch.setattr("bench.runners.crosscheck.settings.resolve_device", lambda wanted: "cpu")
    assert crosscheck(folder, on="cuda") == EXIT_BAD_INPUT
    assert "cuda: torch finds no usable GPU here" in capsys.readouterr().err
    assert crosscheck(folder, "--points", "s4", on="cuda,same") == EXIT_INCOMPLETE
    assert "not here: cuda: torch finds no usable GPU here" in capsys.readouterr().out
    assert {row.decoder_setting for row in found_in(tmp_path / "results")} == {"same"}


def test_files_are_encoded_under_a_setting_too(folder: Path, tmp_path: Path, deflate: None,
                                               capsys: pytest.CaptureFixture) -> None:
    for setting in ("threads-2", "same"):
        assert crosscheck(folder, "--points", "s4", "--images", "1", "--encode-on", setting) == EXIT_DONE
    rows = found_in(tmp_path / "results")
    assert [(row.encoder_setting, row.decoder_setting) for row in rows] == [
        ("threads-2", "same"), ("threads-2", "threads-1"), ("same", "same"), ("same", "threads-1")]
    assert capsys.readouterr().out.count("1 of 1 by pixels") == 4, "a run shows its own encoder's files"
    assert crosscheck(folder, "--encode-on", "upwards") == EXIT_BAD_INPUT
    assert "no setting of decoding 'upwards'" in capsys.readouterr().err


def test_all_is_what_the_processor_can_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.runners.crosscheck.settings.resolve_device", lambda wanted: "cpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with monkeypatch.context() as patch:
        other_machine.pretend(patch, tmp_path / "old", "Old", "fpu sse4_1")
        old = choose_settings(["all"])
        other_machine.pretend(patch, tmp_path / "older", "Older", "fpu")
        assert not {"onednn-sse41", "scalar"} & set(choose_settings(["all"]).names)
    other_machine.forget_machine()
    assert set(old.missing) == {"aten-avx2", "onednn-avx2", "cuda"} and not old.named
    assert set(old.names) | set(old.missing) | {"threads-1"} == set(SETTINGS)
    assert "threads-1" not in old.names, "which tests run with anyway"
    assert {"threads-1", "threads-2"} <= set(choose_settings(["all"], threads=3).names)
    assert choose_settings(["threads-1"]).names == ("threads-1",), "by name"


def test_classical_codecs_have_neither_formats_nor_an_exact_form(folder: Path,
                                                                 capsys: pytest.CaptureFixture) -> None:
    for options in (["--format", "1"], ["--exact"]):
        assert crosscheck(folder, *options, codecs="jpeg") == EXIT_BAD_INPUT
        assert "'jpeg' is no learned codec" in capsys.readouterr().err
    assert crosscheck(folder, "--format", "9", codecs="hpcm_base_mini") == EXIT_BAD_INPUT
    assert "no version 9" in capsys.readouterr().err


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another machine exported of two pictures at one rate point."""
    root = tmp_path_factory.mktemp("exported")
    folder = faulty_codecs.write_images(root / "pictures", SIZES)
    with pytest.MonkeyPatch.context() as patch:
        know_deflate(patch)
        patch.setenv("BENCH_RESULTS", str(root / "results"))
        other_machine.pretend(patch, root / "machine", "Theirs")
        assert crosscheck(folder, "--points", "s4", "--export", str(root / "coded")) == EXIT_DONE
    other_machine.forget_machine()
    assert found_in(root / "results") == [], "nothing is decoded where it is exported"
    return root / "coded"


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path, deflate: None) -> Path:
    return Path(shutil.copytree(exported_once, tmp_path / "coded"))


def import_coded(exported: Path, *options: str) -> int:
    return main(["crosscheck", "--import", str(exported), "--decode-on", "same", *options])


def test_an_exported_folder_is_decoded_elsewhere(exported: Path, folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder)  # pictures stay where they were coded
    assert import_coded(exported) == EXIT_DONE and import_coded(exported) == EXIT_DONE
    rows = found_in(tmp_path / "results")
    assert [(row.image, row.outcome) for row in rows] == [("image00.png", IDENTICAL), ("image01.png", IDENTICAL)]
    assert {row.encoder_machine for row in rows} == {"cpu: Theirs, AVX2"} != {row.decoder_machine for row in rows}


def test_it_is_the_same_file_that_is_coded_here(exported: Path, folder: Path, tmp_path: Path) -> None:
    assert import_coded(exported) == EXIT_DONE and crosscheck(folder, "--points", "s4", on="same") == EXIT_DONE
    rows = found_in(tmp_path / "results")
    assert len(rows) == 4 and len({row.key for row in rows}) == len({row.stream_sha256 for row in rows}) == 2


def test_a_folder_is_exported_into_once(exported: Path, folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert crosscheck(folder, "--export", str(exported)) == EXIT_BAD_INPUT
    assert "not an empty folder" in capsys.readouterr().err
    assert crosscheck(folder, "--import", str(exported)) == EXIT_BAD_INPUT
    assert "--import goes with neither" in capsys.readouterr().err


def change_manifest(exported: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = exported / exchange.MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def set_of_file(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["units"][0]["files"][0].update(values)


def set_of_unit(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["units"][0].update(values)


def nest(manifest: dict[str, Any]) -> None:
    inner: dict[str, Any] = {}
    for _ in range(100):
        inner = {"more": inner}
    manifest["units"][0]["identity"] = inner


@pytest.mark.parametrize(("change", "said"), [
    (lambda manifest: manifest.update(schema=2), "schema"),
    (lambda manifest: manifest.update(command="rm"), "command"),
    (lambda manifest: manifest.pop("dataset"), "dataset"),
    (lambda manifest: manifest.update(dataset="a\x1b[2J"), "dataset"),
    (lambda manifest: manifest.update(encoder_machine="x" * 301), "encoder_machine"),
    (set_of_unit(format=0), "format"), (set_of_unit(exact="yes"), "exact"),
    (set_of_unit(model="os:system"), "model"), (nest, "nested too deeply"),
    (set_of_unit(identity={"revision": float("nan")}), "NaN"),
    (set_of_file(stream_sha256="../../../../etc/passwd"), "stream_sha256"),
    (set_of_file(picture_sha256="/etc/passwd"), "picture_sha256"),
    (set_of_file(stream_sha256="A" * 64), "stream_sha256"),
    (set_of_file(stream_sha256="0" * 64 + "\n"), "stream_sha256"),
    (set_of_file(latents_crc=2**32), "latents_crc"), (set_of_file(latents_crc=True), "latents_crc"),
    (set_of_file(width=2**31), "width"), (set_of_file(height=0), "height"),
    (set_of_file(image="image01.png"), "a picture twice"),
    (set_of_file(stream_sha256="0" * 64), "No such file"), (set_of_file(picture_sha256="0" * 64), "No such file"),
    (set_of_file(width=31), "is not of 31x20 pixels"),
])
def test_hostile_manifests_are_refused(exported: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None],
                                       said: str, capsys: pytest.CaptureFixture) -> None:
    change_manifest(exported, change)
    assert import_coded(exported) == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and found_in(tmp_path / "results") == []


def test_a_model_that_a_manifest_names_is_never_imported(exported: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for codec in ("deflate", "learned", "trap"):
        change_manifest(exported, set_of_unit(identity={"codec": codec, "settings": {"model": "trap:Mine"}}))
        assert import_coded(exported) != EXIT_DONE
    assert "trap" not in sys.modules and not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"schema": 1, "schema": 1}'])
def test_a_manifest_that_is_none_is_refused(exported: Path, content: bytes, capsys: pytest.CaptureFixture) -> None:
    (exported / exchange.MANIFEST).write_bytes(content)
    assert import_coded(exported) == EXIT_BAD_INPUT
    assert "manifest.json" in capsys.readouterr().err


def test_files_outside_the_folder_too_large_or_changed_are_not_read(exported: Path, tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch,
                                                                    capsys: pytest.CaptureFixture) -> None:
    stream = min(exported.glob("*.bin"), key=lambda path: path.stat().st_size)
    content = stream.read_bytes()

    def import_with(path: Path, place: Callable[[], object]) -> str:
        before = path.read_bytes()
        path.unlink()
        place()
        assert import_coded(exported, "--remeasure") == EXIT_BAD_INPUT
        path.unlink()
        path.write_bytes(before)
        return capsys.readouterr().err

    (tmp_path / "outside").write_bytes(content)
    assert "no plain file" in import_with(stream, lambda: stream.symlink_to(tmp_path / "outside"))
    assert "no plain file" in import_with(stream, lambda: os.mkfifo(stream))
    assert "not the file that its name says" in import_with(stream, lambda: stream.write_bytes(content + b"x"))
    manifest = exported / exchange.MANIFEST
    assert "no plain file" in import_with(manifest, lambda: manifest.symlink_to(tmp_path / "outside"))

    for kind, limit in ((".bin", "STREAM"), (".png", "PICTURE"), (".json", "MANIFEST")):
        with monkeypatch.context() as patch:
            patch.setattr(exchange, f"MOST_{limit}_BYTES", 10)
            assert import_coded(exported, "--remeasure") == EXIT_BAD_INPUT
        assert f"{kind} has" in capsys.readouterr().err
    assert import_coded(exported, "--remeasure") == EXIT_DONE


def test_a_stream_that_is_no_stream_fails_as_a_row(exported: Path, tmp_path: Path) -> None:
    """Named after its digest it may hold anything: that is the decoder's matter."""
    sha256, _ = exchange.store_coded(exported, zlib.compress(b"nothing") * 3, np.zeros((20, 30, 3), np.uint8))
    change_manifest(exported, set_of_file(stream_sha256=sha256))
    assert import_coded(exported) == EXIT_DONE
    assert [row.outcome for row in found_in(tmp_path / "results")] == [FAILED, IDENTICAL]


@pytest.mark.parametrize(("values", "said"), [
    ({"identity": {"revision": 2}}, "not what coded it: other revision, codec"),
    ({"point": "s5"}, "s5"), ({"name": "nobody"}, "no codec or variant 'nobody'"),
    ({"format": 1}, "no learned codec"),
])
def test_codecs_that_are_others_here_are_left_out(exported: Path, values: dict[str, Any], said: str,
                                                  capsys: pytest.CaptureFixture) -> None:
    change_manifest(exported, set_of_unit(**values))
    assert import_coded(exported) == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert "nothing of " in error and said in error


def test_a_codec_of_another_revision_is_left_out_and_the_rest_decoded(exported: Path, tmp_path: Path,
                                                                      capsys: pytest.CaptureFixture) -> None:
    def double(manifest: dict[str, Any]) -> None:
        unit = manifest["units"][0]
        manifest["units"].append({**unit, "identity": {**unit["identity"], "revision": 2}})

    change_manifest(exported, double)
    assert import_coded(exported) == EXIT_INCOMPLETE
    assert "missing: deflate s4: what is here is not what coded it: other revision" in capsys.readouterr().out
    assert len(found_in(tmp_path / "results")) == 2


def test_another_version_of_a_library_is_compared(exported: Path, tmp_path: Path) -> None:
    def age(manifest: dict[str, Any]) -> None:
        manifest["units"][0]["identity"]["codec_version"] = "0"

    change_manifest(exported, age)
    assert import_coded(exported) == EXIT_DONE and import_coded(exported) == EXIT_DONE
    assert len(found_in(tmp_path / "results")) == 2
    change_manifest(exported, lambda manifest: manifest["units"][0]["identity"].update(codec_version="1"))
    assert import_coded(exported) == EXIT_DONE and len(found_in(tmp_path / "results")) == 2, "they are the same files"


def test_nothing_to_do_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["crosscheck"]) == EXIT_BAD_INPUT
    assert "--dataset" in capsys.readouterr().err
    assert main(["crosscheck", "--import", str(tmp_path / "nowhere")]) == EXIT_BAD_INPUT
    assert "manifest.json" in capsys.readouterr().err


def test_no_settings_are_none() -> None:
    with pytest.raises(ConfigurationError, match="none of the settings"):
        choose_settings([])

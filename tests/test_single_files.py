"""``python -m bench encode`` and ``decode``: single files, standard streams, and what is refused."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from second_process import find_kept_decoder
from tiny_models import picture, tiny_model, write_variants

from bench.cli import main
from bench.codecs.base import build_codec
from bench.codecs.envelope import MAGIC, pack_envelope, unpack_envelope
from bench.codecs.learned_codec import LearnedCodec
from bench.commands import single_files
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_INCOMPLETE, CodecError
from bench.models.checkpoints import write_float16
from bench.runners.evaluate.selection import choose_point

ROOT = Path(__file__).parents[1]
PIXELS = picture(40, 30)
MINIATURE = "hpcm_base_mini", 0.0018


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A variants.yaml with weights at one of its two λ, other weights, and a picture."""
    folder = tmp_path_factory.mktemp("single")
    write_variants(folder)
    own = folder / "checkpoints" / "tiny"
    own.mkdir(parents=True)
    write_float16(tiny_model(), own / "0.01.safetensors", {})
    write_float16(tiny_model(seed=1), folder / "0.01.safetensors", {})
    Image.fromarray(PIXELS).save(folder / "image.png")
    return folder


@pytest.fixture(autouse=True)
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The tiny variant is known, and what the verbs set of torch is undone."""
    monkeypatch.setenv("BENCH_VARIANTS", str(folder / "variants.yaml"))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


@pytest.fixture
def encoded(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> Path:
    """The picture's file."""
    assert encode(folder, "a.lic") == EXIT_DONE
    capsys.readouterr()
    return tmp_path / "a.lic"


def encode(folder: Path, output: str, *more: str, variant: str = "tiny", lambda_: str = "0.01") -> int:
    options = ["--variant", variant, "--lambda", lambda_, "--threads", "1", "--device", "cpu", *more]
    return main(["encode", str(folder / "image.png"), "-o", output, *options])


def decode(file: object, output: str, *more: str) -> int:
    return main(["decode", str(file), "-o", output, "--threads", "1", "--device", "cpu", *more])


def read_pixels(source: object) -> np.ndarray:
    with Image.open(source) as image:
        return np.array(image)


def run_verb(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "bench", *map(str, arguments), "--threads", "1", "--device", "cpu"]
    done = subprocess.run(command, input=given, capture_output=True, cwd=ROOT)
    assert done.returncode == EXIT_DONE, done.stderr.decode()
    return done


def test_processes_and_pipes_give_what_the_evaluation_measures(
        folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """A miniature: files and standard streams give the same bytes and pixels, and nothing else on standard output."""
    monkeypatch.delenv("BENCH_VARIANTS")
    variant, lambda_ = MINIATURE
    there = run_verb("encode", "-", "--variant", variant, "--lambda", lambda_, "-o", "-",
                     given=(folder / "image.png").read_bytes())
    back = run_verb("decode", "-", "-o", "-", given=there.stdout)
    assert back.stdout.startswith(b"\x89PNG") and back.stdout.endswith(b"IEND\xaeB`\x82")
    assert encode(folder, "a.lic", variant=variant, lambda_=str(lambda_)) == EXIT_DONE
    told = capsys.readouterr().out
    assert (tmp_path / "a.lic").read_bytes() == there.stdout
    assert decode("a.lic", "a.png") == EXIT_DONE
    np.testing.assert_array_equal(read_pixels(io.BytesIO(back.stdout)), read_pixels("a.png"))

    _, payload = unpack_envelope(there.stdout)
    np.testing.assert_array_equal(read_pixels("a.png"), decode_as_evaluations_do(variant, lambda_, payload, tmp_path))
    bpp = f"payload {len(payload)} bytes, {8 * len(payload) / (40 * 30):.4f} bpp"
    envelope = f"envelope {len(there.stdout) - len(payload)} bytes, not counted"
    assert f"40x30, {variant} at λ {lambda_}\n  {bpp}; {envelope}\n  checked: decodes here" in told
    assert bpp in there.stderr.decode() and bpp in back.stderr.decode()


def decode_as_evaluations_do(variant: str, lambda_: float, payload: bytes, folder: Path) -> np.ndarray:
    """What the decoder's process gives, of a file that the evaluation would have written."""
    spec = choose_point(variant, lambda_)
    assert payload == build_codec(spec).encode(PIXELS).stream
    path = folder / "payload.bin"
    path.write_bytes(payload)
    decoder = find_kept_decoder()
    decoder.prepare(spec, torch={"threads": 1, "deterministic": True})
    return decoder.decode(path)[0]


def test_nothing_else_reaches_standard_output() -> None:
    """Not even what is printed without Python."""
    program = ("import os, sys\n"
               "from bench.commands.single_files import open_output\n"
               "with open_output('-', False) as write:\n"
               "    print('python'); os.write(1, b'c'); os.system('echo program'); write(b'content')\n"
               "print('!', end='')")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT)
    assert done.stdout == b"content!"
    assert all(word in done.stderr for word in (b"python", b"c", b"program"))


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".ppm", ".bmp", ".tiff"])
def test_every_lossless_format_holds_the_decoders_pixels(encoded: Path, suffix: str,
                                                         capsys: pytest.CaptureFixture) -> None:
    assert decode(encoded, f"b{suffix}") == EXIT_DONE
    codec = build_codec(choose_point("tiny", 0.01))
    _, payload = unpack_envelope(encoded.read_bytes())
    np.testing.assert_array_equal(read_pixels(f"b{suffix}"), codec.decode(payload))
    assert re.search(r"a\.lic: 40x30, tiny at λ 0\.01\n  payload .* bpp\n  checked: the latents",
                     capsys.readouterr().out)


def test_a_bare_payload_needs_its_codec(encoded: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    _, payload = unpack_envelope(encoded.read_bytes())
    (tmp_path / "bare.bin").write_bytes(payload)
    assert decode("bare.bin", "bare.png") == EXIT_BAD_INPUT
    assert "no file of `python -m bench encode`" in capsys.readouterr().err
    assert decode("bare.bin", "bare.png", "--variant", "tiny", "--lambda", "0.01") == EXIT_DONE
    assert decode(encoded, "whole.png") == EXIT_DONE
    np.testing.assert_array_equal(read_pixels("bare.png"), read_pixels("whole.png"))


def test_a_file_says_that_it_is_exact(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert encode(folder, "a.lic", "--exact") == EXIT_DONE
    envelope, payload = unpack_envelope((tmp_path / "a.lic").read_bytes())
    codec = build_codec(choose_point("tiny", 0.01, exact=True))
    assert envelope.exact and envelope.variant == "tiny" and payload == codec.encode(PIXELS).stream
    assert decode("a.lic", "a.png") == EXIT_DONE
    np.testing.assert_array_equal(read_pixels("a.png"), codec.decode(payload))

    (tmp_path / "bare.bin").write_bytes(payload)
    bare = ["--variant", "tiny", "--lambda", "0.01"]
    assert decode("bare.bin", "bare.png", *bare) == EXIT_INCOMPLETE
    assert "--exact" in capsys.readouterr().err
    assert decode("bare.bin", "bare.png", *bare, "--exact") == EXIT_DONE
    np.testing.assert_array_equal(read_pixels("bare.png"), read_pixels("a.png"))


def test_weights_of_ones_own(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """They are given on both sides, in any layout; others are refused."""
    other = folder / "0.01.safetensors"
    assert encode(folder, "a.lic", "--checkpoint", str(other)) == EXIT_DONE
    weights = tiny_model(seed=1)
    weights.load_state_dict({name: value.half().float() if value.is_floating_point() and value.numel() > 1 else value
                             for name, value in weights.state_dict().items()})
    torch.save({"state_dict": weights.state_dict()}, tmp_path / "mine.pth")
    assert decode("a.lic", "a.png", "--checkpoint", str(other)) == EXIT_DONE
    assert decode("a.lic", "b.png", "--checkpoint", "mine.pth") == EXIT_DONE
    np.testing.assert_array_equal(read_pixels("a.png"), read_pixels("b.png"))
    capsys.readouterr()

    assert decode("a.lic", "c.png") == EXIT_BAD_INPUT
    assert "coded with other weights of tiny at λ 0.01" in capsys.readouterr().err
    assert not (tmp_path / "c.png").exists()


def test_a_checkpoint_may_be_of_a_lambda_that_the_variant_lacks(folder: Path, tmp_path: Path) -> None:
    own = folder / "0.5.safetensors"
    own.write_bytes((folder / "0.01.safetensors").read_bytes())
    options = ["--variant", "tiny", "--checkpoint", str(own)]
    assert main(["encode", str(folder / "image.png"), "-o", "a.lic", *options]) == EXIT_DONE
    assert unpack_envelope((tmp_path / "a.lic").read_bytes())[0].lambda_ == 0.5
    assert decode("a.lic", "a.png", "--checkpoint", str(folder / "0.01.safetensors")) == EXIT_DONE


@pytest.mark.parametrize(("more", "told"), [
    ({"variant": "large"}, "there is no variant 'large'"),
    ({"lambda_": "0.02"}, "there are no weights of tiny at λ 0.02"),
    ({"lambda_": "7"}, "variant 'tiny' has no λ 7"),
    ({"lambda_": "nan"}, "'nan' is no λ"),
    ({"lambda_": "0_01"}, "'0_01' is no λ"),
    ({"output": "."}, "can't write .: it is no regular file"),
    ({"output": "/dev/null"}, "can't write /dev/null: it is no regular file"),
    ({"output": "there.lic"}, "there.lic is there already"),
    ({"output": "there.lic/a.lic"}, "can't write there.lic/a.lic"),
    ({"output": "a" * 300}, "File name too long"),
    ({"checkpoint": "none.pth"}, "there is no checkpoint file none.pth"),
    ({"checkpoint": "there.lic"}, "there.lic"),
    ({"image": "there.lic"}, "there.lic: is not an image of a known format"),
    ({"image": "none.png"}, "none.png: No such file"),
])
def test_encode_refuses(folder: Path, tmp_path: Path, more: dict, told: str, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "there.lic").write_bytes(b"some text")
    given = {"variant": "tiny", "lambda_": "0.01", "image": str(folder / "image.png"), "output": "a.lic", **more}
    options = [part for name in ("variant", "checkpoint") if name in given for part in (f"--{name}", given[name])]
    code = main(["encode", given["image"], "-o", given["output"], "--lambda", given["lambda_"], *options])
    assert code == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there.lic"]
    assert (tmp_path / "there.lic").read_bytes() == b"some text"


def rewrite(file: Path, **changes: object) -> bytes:
    """A file with another envelope."""
    envelope, payload = unpack_envelope(file.read_bytes())
    values = {"variant": envelope.variant, "lambda_": envelope.lambda_, "exact": envelope.exact,
              "weights": envelope.weights, **changes}
    return pack_envelope(**values, payload=payload) + payload


@pytest.mark.parametrize(("change", "told"), [
    (lambda file: b"some text", "is no file of `python -m bench encode`"),
    (lambda file: b"", "is no file of `python -m bench encode`"),
    (lambda file: file.read_bytes()[:-1], "truncated"),
    (lambda file: file.read_bytes()[:30], "truncated"),
    (lambda file: file.read_bytes()[:-1] + b"\0\0", "followed by others"),
    (lambda file: file.read_bytes()[:-9] + bytes(9), "damaged"),
    (lambda file: file.read_bytes().replace(b'"exact"', b'"exakt"'), "header is wrong"),
    (lambda file: MAGIC + b"\x07" + file.read_bytes()[len(MAGIC) + 1:], "version 7"),
    (lambda file: rewrite(file, variant="other"), "there is no variant 'other'"),
    (lambda file: rewrite(file, lambda_=0.02), "there are no weights of tiny at λ 0.02"),
    (lambda file: rewrite(file, lambda_=3.0), "has no λ 3"),
    (lambda file: rewrite(file, weights="0" * 8), "other weights"),
])
def test_decode_refuses(encoded: Path, tmp_path: Path, change, told: str, capsys: pytest.CaptureFixture) -> None:
    encoded.write_bytes(change(encoded))
    assert decode(encoded, "b.png") == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert told in error and str(encoded) in error
    assert [path.name for path in tmp_path.iterdir()] == ["a.lic"]


@pytest.mark.parametrize(("output", "more", "told"), [
    ("b.jpg", (), "'.jpg' is the suffix of no lossless format"),
    ("b", (), "'' is the suffix of no lossless format"),
    ("there.png", (), "there.png is there already"),
    ("b.png", ("--variant", "other"), "coded with --variant tiny, not other"),
    ("b.png", ("--lambda", "0.02"), "coded with --lambda 0.01, not 0.02"),
    ("b.png", ("--exact",), "was not coded with --exact"),
    ("b.png", ("--checkpoint", "none.pth"), "there is no checkpoint file none.pth"),
])
def test_decode_refuses_options(encoded: Path, tmp_path: Path, output: str, more: tuple[str, ...], told: str,
                                capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "there.png").write_bytes(b"old")
    assert decode(encoded, output, *more) == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err
    assert (tmp_path / "there.png").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"a.lic", "there.png"}


def test_force_replaces(folder: Path, encoded: Path, tmp_path: Path) -> None:
    before = encoded.read_bytes()
    encoded.write_bytes(b"old")
    assert encode(folder, "a.lic", "--force") == EXIT_DONE
    assert encoded.read_bytes() == before


@pytest.mark.parametrize("differs", [True, False])
def test_a_file_that_does_not_decode_here_is_not_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture, differs: bool) -> None:
    def drift(codec: LearnedCodec, stream: bytes) -> np.ndarray:
        if differs:
            return 255 - PIXELS
        raise CodecError("drifted")

    monkeypatch.setattr(LearnedCodec, "decode", drift)
    assert encode(folder, "a.lic") == EXIT_INCOMPLETE
    error = capsys.readouterr().err
    assert ("differs from the encoder's own by up to" if differs else "does not decode here: drifted") in error
    assert not list(tmp_path.iterdir())
    assert encode(folder, "a.lic", "--no-check") == EXIT_DONE
    assert "unchecked" in capsys.readouterr().out


def test_latents_that_differ_give_no_picture(folder: Path, encoded: Path, tmp_path: Path,
                                             capsys: pytest.CaptureFixture) -> None:
    """A file of other weights that claims to be of these."""
    own = unpack_envelope(encoded.read_bytes())[0].weights
    assert encode(folder, "a.lic", "--force", "--checkpoint", str(folder / "0.01.safetensors")) == EXIT_DONE
    encoded.write_bytes(rewrite(encoded, weights=own))
    assert decode(encoded, "b.png") == EXIT_INCOMPLETE
    error = capsys.readouterr().err
    assert f"{encoded} does not decode here: " in error and "encode with --exact" in error
    assert not (tmp_path / "b.png").exists()


def test_a_file_that_claims_to_be_exact_gives_no_picture(encoded: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture) -> None:
    encoded.write_bytes(rewrite(encoded, exact=True))
    assert decode(encoded, "b.png") == EXIT_INCOMPLETE
    assert "the file was coded in the default configuration, this decoder is exact" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_a_file_larger_than_any_picture_is_refused(encoded: Path, capsys: pytest.CaptureFixture,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_files, "MOST_BYTES", encoded.stat().st_size - 1)
    assert decode(encoded, "b.png") == EXIT_BAD_INPUT
    assert "too much for one picture" in capsys.readouterr().err

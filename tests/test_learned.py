"""The learned codec: files that a second process decodes exactly, damage that is noticed, identity."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from second_process import find_kept_decoder
from tiny_models import TINY, picture, tiny_model, write_variants

from bench import operators
from bench.cli import main
from bench.codecs.base import CODECS, CodecSpec, build_codec
from bench.codecs.container import unpack_file
from bench.codecs.learned import describe_agreed
from bench.codecs.learned_codec import LearnedCodec, centred_padding
from bench.common.errors import EXIT_BAD_INPUT, EXIT_INCOMPLETE, CodecError
from bench.models.checkpoints import write_float16
from bench.models.image_codec import EncodedImage
from bench.results.rows import FAILED, OK, Row
from bench.results.store import Store
from bench.runners.evaluate.decoder_client import DecoderFailure
from bench.runners.evaluate.measure import run_unit
from bench.runners.evaluate.unit import Unit, UnitImage, identify

SIZES = [(1, 1), (33, 17), (130, 127), (64, 128), (128, 64)]
ONE_THREAD = {"threads": 1, "deterministic": True}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the decoder's process; measuring also sets torch's algorithms, which is undone here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> CodecSpec:
    path = tmp_path_factory.mktemp("checkpoints") / "0.01.safetensors"
    write_float16(tiny_model(), path, {})
    return CodecSpec("learned", "tiny", "0.01", {"lambda": 0.01},
                     {"model": "hpcm_base", "options": TINY, "label": "Tiny", "miniature": True, "metric": "mse"},
                     {"checkpoint": str(path)})


@pytest.fixture(scope="module")
def codec(spec: CodecSpec) -> LearnedCodec:
    return build_codec(spec)


@pytest.fixture(scope="module")
def stream(codec: LearnedCodec) -> bytes:
    return codec.encode(picture(40, 30)).stream


@pytest.fixture(scope="module")
def measured(spec: CodecSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Row], Path]:
    """Rows of all sizes by image, and the folder of their files; one decoder process for all of it."""
    folder, streams, images = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("streams"), []
    for width, height in SIZES:
        path = folder / f"{width}x{height}.png"
        Image.fromarray(picture(width, height, seed=width)).save(path)
        images.append(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    unit = Unit(spec, "set", None, tuple(images), threads=1, keep_streams=str(streams))
    return {row.image: row for row in run_unit(unit)}, streams / "set" / "tiny" / "0.01"


def header_bytes(width: int, height: int, y_bytes: int) -> int:
    """Checksum, the number of streams, and sides and the y stream's length with 7 bits a byte."""
    return 2 + 1 + 4 + sum(1 + (number >= 128) + (number >= 128**2) for number in (width, height, y_bytes))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_second_process_decodes_the_encoders_image_from_the_file(width, height, measured, codec) -> None:
    rows, folder = measured
    row, stored = rows[f"{width}x{height}.png"], (folder / f"{width}x{height}.png.bin").read_bytes()
    assert (row.status, row.reason, row.warnings) == (OK, None, ())
    assert row.decode_matches is True and (row.width, row.height) == (width, height)
    assert row.bytes_header == header_bytes(width, height, row.bytes_y) and row.bytes_y >= 8 and row.bytes_z >= 8
    assert row.bytes_total == len(stored) == row.bytes_header + row.bytes_y + row.bytes_z
    assert row.bpp == pytest.approx(8 * len(stored) / (width * height), rel=1e-12)
    assert row.bpp == pytest.approx(sum(row.bpp_of(part) for part in ("y", "z", "header")), rel=1e-12)
    assert row.miniature is True and row.provenance.threads == 1
    encoding = codec.encode(picture(width, height, seed=width))
    assert encoding.stream == stored
    for pixels in (encoding.reconstruct(), codec.decode(stored)):
        assert pixels.dtype == np.uint8 and pixels.shape == (height, width, 3)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == row.reconstruction_sha256


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_files_hold_what_compress_gives_for_the_centred_image(width, height, codec, spec) -> None:
    image = picture(width, height, seed=3)
    encoding = codec.encode(image)
    left, top, right, bottom = encoding.padding
    assert (left + width + right) % 64 == (top + height + bottom) % 64 == 0
    assert max(left + right, top + bottom) < 64
    assert right - left in (0, 1) and bottom - top in (0, 1)
    padded = np.zeros((top + height + bottom, left + width + right, 3), np.float32)
    padded[top : top + height, left : left + width] = image.astype(np.float32) / 255
    model = codec._model
    coded = model.compress(torch.from_numpy(padded).permute(2, 0, 1)[None])
    (y_stream,), (z_stream,) = coded["strings"]
    header = header_bytes(width, height, len(y_stream))
    assert encoding.stream[header:] == y_stream + z_stream
    assert encoding.parts == {"header": header, "y": len(y_stream), "z": len(z_stream)}
    decoded = model.decompress(**coded)["x_hat"][0, :, top : top + height, left : left + width]
    assert np.array_equal(codec.decode(encoding.stream), (decoded * 255).round().byte().permute(1, 2, 0).numpy())


def test_odd_pixel_of_padding_goes_right_and_down() -> None:
    assert centred_padding(768, 512, 256) == (0, 0, 0, 0)
    assert centred_padding(1, 255, 256) == (127, 0, 128, 1)
    assert centred_padding(1200, 1201, 256) == (40, 39, 40, 40)


def test_file_is_as_long_as_the_entropy_model_predicts(codec) -> None:
    encoding = codec.encode(picture(512, 384))
    ratio = 8 * len(encoding.stream) / encoding.estimate_bits()
    assert len(encoding.stream) > 10_000 and 0.98 < ratio < 1.05


def test_encoder_changes_neither_image_nor_later_results(codec) -> None:
    image = picture(70, 50)
    before = image.copy()
    first = codec.encode(image)
    codec.encode(picture(33, 90, seed=5))
    assert np.array_equal(image, before)
    assert codec.encode(image[:, ::-1][:, ::-1]).stream == first.stream
    assert np.array_equal(first.reconstruct(), codec.decode(first.stream))


def no_decoding(codec: LearnedCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage must be found before anything of the claimed size is made, or read by the arithmetic decoder."""
    monkeypatch.setattr(codec._model, "decode_latents", lambda *_: pytest.fail("decodes a damaged file"))


def test_every_truncation_is_noticed(codec, stream, monkeypatch) -> None:
    no_decoding(codec, monkeypatch)
    for length in range(len(stream)):
        with pytest.raises(CodecError, match="truncated"):
            codec.decode(stream[:length])
    with pytest.raises(CodecError, match="damaged"):
        codec.decode(stream + b"\0")


def test_every_changed_byte_is_noticed(codec, stream, monkeypatch) -> None:
    no_decoding(codec, monkeypatch)
    for position in [*range(12), *range(12, len(stream), 7)]:
        for bits in (0x01, 0x80, 0xFF, 0x5A):
            damaged = bytearray(stream)
            damaged[position] ^= bits
            with pytest.raises(CodecError, match="damaged"):
                codec.decode(bytes(damaged))


@pytest.mark.parametrize("foreign", [
    b"", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(500), b"\xff" * 500, bytes(range(256)) * 40,
])
def test_foreign_files_are_refused(foreign, codec, monkeypatch) -> None:
    no_decoding(codec, monkeypatch)
    with pytest.raises(CodecError, match="truncated"):
        codec.decode(foreign)


def test_a_file_holds_the_size_and_no_shape_that_follows_from_it(codec) -> None:
    width, height, shape, *_ = unpack_file(codec.encode(picture(300, 5)).stream, codec._tag())
    assert (width, height, shape) == (300, 5, ())


def test_files_of_other_options_are_refused(codec, spec, stream) -> None:
    tags = {describe_agreed(spec.settings)}
    for changes in ({"options": {**TINY, "expansion": 1}}, {"options": {}}, {"model": "hpcm_phi"}):
        tags.add(describe_agreed({**spec.settings, **changes}))
    assert len(tags) == 4
    assert describe_agreed({**spec.settings, "label": "x", "options": dict(reversed(TINY.items()))}) in tags
    other = LearnedCodec(codec._model, "cpu", describe_agreed({**spec.settings, "model": "hpcm_phi"}))
    with pytest.raises(CodecError, match="other options"):
        other.decode(stream)


def test_files_of_another_state_of_the_model_are_refused(codec, stream, monkeypatch) -> None:
    decoded = codec.decode(stream)
    monkeypatch.setattr(codec._model, "stream_tag", 1)
    with pytest.raises(CodecError, match="other options"):
        codec.decode(stream)
    assert np.array_equal(codec.decode(codec.encode(picture(40, 30)).stream), decoded)


def test_damage_costs_the_decoder_process_one_file_only(spec, codec, stream, tmp_path) -> None:
    files = {"whole": stream, "cut": stream[:-4], "other": b"GIF89a" + bytes(50)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    decoder = find_kept_decoder()
    decoder.prepare(spec, torch=ONE_THREAD, timeout_s=120)
    for name in ("cut", "other"):
        with pytest.raises(DecoderFailure) as caught:
            decoder.decode(tmp_path / name)
        assert caught.value.kind == "CodecError"
    pixels, _ = decoder.decode(tmp_path / "whole")
    assert np.array_equal(pixels, codec.decode(stream))


class Raw(torch.nn.Module):
    """The least that a model needs: its streams are the samples of the three channels."""

    padding_multiple = 16

    def encode_image(self, x: torch.Tensor) -> EncodedImage:
        streams = {f"y{number}": (255 * plane).round().byte().numpy().tobytes() for number, plane in enumerate(x[0])}
        return EncodedImage(streams, tuple(x.shape[2:]), lambda: x, lambda: 24.0 * x[0, 0].numel())

    def decode_image(self, streams: tuple[bytes, ...], shape: tuple[int, ...]) -> torch.Tensor:
        planes = [np.frombuffer(stream, np.uint8).reshape(shape) for stream in streams]
        return torch.from_numpy(np.stack(planes)).float()[None] / 255


def test_a_side_may_have_more_than_65535_pixels() -> None:
    image = picture(65600, 3)
    codec = LearnedCodec(Raw(), "cpu")
    encoding = codec.encode(image)
    assert np.array_equal(codec.decode(encoding.stream), image) and np.array_equal(encoding.reconstruct(), image)


def test_a_model_without_a_stride_has_its_shape_in_the_file() -> None:
    codec, image = LearnedCodec(Raw(), "cpu"), picture(20, 40)
    encoding = codec.encode(image)
    width, height, shape, streams, _ = unpack_file(encoding.stream, codec._tag())
    assert (width, height, shape, len(streams)) == (20, 40, (48, 32), 3)
    assert encoding.parts == {"header": 2 + 3 + 3 + 2 * 2 + 4, "y": 3 * 48 * 32}
    assert np.array_equal(codec.decode(encoding.stream), image)


def test_reconstructions_that_are_not_finite_are_refused(spec, stream) -> None:
    codec = build_codec(spec)
    with torch.no_grad():
        codec._model.g_s.branch[-1].bias[1] = float("nan")
    with pytest.raises(CodecError, match="not finite"):
        codec.decode(stream)
    with pytest.raises(CodecError, match="not finite"):
        codec.encode(picture(8, 8)).reconstruct()


def digest(spec: CodecSpec) -> str:
    return identify(spec).digest


def test_identity_is_weights_options_and_what_they_were_trained_for(spec, tmp_path) -> None:
    def with_settings(**settings) -> CodecSpec:
        return replace(spec, settings={**spec.settings, **settings})

    elsewhere = tmp_path / "renamed.safetensors"
    shutil.copy(spec.location["checkpoint"], elsewhere)
    moved = replace(spec, location={"checkpoint": str(elsewhere)})
    assert digest(moved) == digest(spec)
    assert digest(with_settings(label="Other")) == digest(spec)
    assert digest(with_settings(options=dict(reversed(TINY.items())))) == digest(spec)
    others = [with_settings(options={**TINY, "expansion": 1}), with_settings(model="hpcm_phi"),
              with_settings(metric="ms-ssim"), replace(spec, name="other"),
              replace(spec, point="0.02", point_settings={"lambda": 0.02})]
    write_float16(tiny_model(seed=1), elsewhere, {})
    assert len({digest(one) for one in [spec, moved, *others]}) == 7
    sha256 = hashlib.sha256(elsewhere.read_bytes()).hexdigest()
    assert CODECS.get("learned").identify(moved)["weights_sha256"] == sha256


def test_provenance_says_what_computes_a_models_operators_and_no_key_does(spec, monkeypatch) -> None:
    rwkv = replace(spec, settings={**spec.settings, "model": "rwkv_phase1"})
    entry = CODECS.get("learned")
    assert entry.operators(spec) is None
    assert entry.operators(rwkv) == operators.identity("cpu")

    native = identify(rwkv)
    monkeypatch.setenv("BENCH_NATIVE", "0")
    assert entry.operators(rwkv) == "biwkv plain torch"
    assert identify(rwkv) == native


BAD = [
    ("0.0067.pth", b"\x89PNG\r\n\x1a\n", "CheckpointError: 0.0067.pth is no checkpoint"),
    ("0.0067.safetensors", b"{}", "CheckpointError: 0.0067.safetensors is no safetensors file"),
    ("other.pth", tiny_model, "CheckpointError: other.pth does not fit HPCM: of another shape: "),
]


def write_bad(path: Path, content) -> None:
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content().state_dict(), path)


@pytest.mark.parametrize(("name", "content", "told"), BAD)
def test_a_bad_checkpoint_fails_every_image_with_its_reason(name, content, told, spec, tmp_path) -> None:
    write_bad(tmp_path / name, content)
    bad = replace(spec, settings={**spec.settings, "options": {**TINY, "M": 16}},
                  location={"checkpoint": str(tmp_path / name)})
    images = tuple(UnitImage(f"{n}.png", f"{n}.png", "0" * 64) for n in range(2))
    rows = list(run_unit(Unit(bad, "set", None, images, threads=1)))
    assert [row.image for row in rows] == ["0.png", "1.png"]
    for row in rows:
        assert row.status == FAILED and row.bpp is None
        assert row.reason.startswith(told) and str(tmp_path) not in row.reason


def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, dict[str, Row]]:
    """Run the verb on a folder with one small picture; return its exit code and the rows by rate point."""
    folder, results = tmp_path / "pictures", tmp_path / "results"
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture(24, 16)).save(folder / "a.png")
    monkeypatch.setenv("BENCH_RESULTS", str(results))
    code = main(["evaluate", "--dataset", str(folder), "--threads", "1", "--device", "cpu", *arguments])
    return code, {row.point: row for row in Store(results).read("pictures")} if results.exists() else {}


@pytest.mark.usefixtures("measured_here")
def test_a_variants_good_checkpoint_is_measured_and_its_bad_one_fails(spec, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    folder = tmp_path / "checkpoints" / "tiny"
    folder.mkdir(parents=True)
    shutil.copy(spec.location["checkpoint"], folder / "0.01.safetensors")
    (folder / "0.02.safetensors").write_bytes((folder / "0.01.safetensors").read_bytes()[:-100])
    code, rows = evaluate(tmp_path, monkeypatch, "--codecs", "tiny")
    good, bad = rows["0.01"], rows["0.02"]
    assert code == EXIT_INCOMPLETE
    assert (good.status, good.name, good.label, good.miniature, good.decode_matches) == (OK, "tiny", "Tiny", True, True)
    assert (bad.status, bad.bpp) == (FAILED, None)
    assert "0.02.safetensors is no safetensors file, or a truncated one" in bad.reason
    shown = capsys.readouterr().out
    assert re.search(r"tiny \(miniature\) +0.01 +1/1 +0 ", shown) and bad.reason[:60] in shown


@pytest.mark.usefixtures("measured_here")
def test_a_bad_checkpoint_by_name_gives_exit_code_1(tmp_path, monkeypatch) -> None:
    (tmp_path / "0.0067.pth").write_bytes(b"")
    code, rows = evaluate(tmp_path, monkeypatch, "--variant", "hpcm_base_mini",
                          "--checkpoint", str(tmp_path / "0.0067.pth"))
    assert code == EXIT_INCOMPLETE and "0.0067.pth is no checkpoint" in rows["0.0067"].reason


@pytest.mark.parametrize(("arguments", "told"), [
    (["--variant", "hpcm_base_mini", "--checkpoint", "no.pth"], "there is no checkpoint file no.pth"),
    (["--variant", "hpcm_tiny", "--checkpoint", __file__], "there is no variant 'hpcm_tiny'"),
    (["--variant", "hpcm_base_mini", "--checkpoint", __file__], "can't tell the λ"),
])
def test_what_can_not_be_looked_up_gives_exit_code_2(arguments, told, tmp_path, monkeypatch, capsys) -> None:
    code, rows = evaluate(tmp_path, monkeypatch, *arguments)
    assert (code, rows) == (EXIT_BAD_INPUT, {}) and told in capsys.readouterr().err

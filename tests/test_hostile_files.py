"""Files of learned codecs that are damaged with a right CRC, of other weights, or decoded by a machine that drifts."""

from __future__ import annotations

import json
from binascii import crc_hqx
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from compressai.ans import BufferedRansEncoder, RansDecoder, RansEncoder
from fuzz.bitstreams import OtherCoder
from fuzz.containers import leb128, mend
from second_process import find_kept_decoder
from tiny_models import TINY, lively_lalic, lively_zoo_model, picture, tiny_model

from bench.codecs import container, learned_codec
from bench.codecs.base import CodecSpec, build_codec
from bench.codecs.learned import describe_agreed
from bench.codecs.learned_codec import LatentsMismatch, LearnedCodec
from bench.common.errors import CodecError, ConfigurationError
from bench.models.checkpoints import write_float16
from bench.models.compressai_coders import record_coding
from bench.models.image_codec import EncodedImage
from bench.operators.rans import StreamError


@pytest.mark.parametrize("name", ["hpcm_base", "lalic", "compressai:mbt2018-mean"])
def test_what_an_exact_encoder_decided_is_checked(name: str) -> None:
    model = {"hpcm_base": tiny_model, "lalic": lively_lalic}.get(name, lambda: lively_zoo_model(name))()
    codec = LearnedCodec(model, "cpu", exact=True)
    stream = codec.encode(picture(40, 30)).stream
    assert codec.decode_checked(stream).checked
    contents = container.unpack_file(stream, codec._tag())
    first, *others = contents.streams
    spellings = [bytes([byte]) + first[1:] for byte in range(256) if byte != first[0]]
    spellings += [bytes([128 + first[0], count]) + bytes(count) + first[1:] for count in (0, 1, 5)]
    for spelling in spellings[:: 1 if name == "hpcm_base" else 13] + spellings[-3:]:
        changed = contents._replace(streams=(spelling, *others))
        with pytest.raises(CodecError):
            codec.decode(container.pack_file(changed, codec._tag()))


def test_exact_file_can_not_pass_as_one_without_checksum() -> None:
    codec = LearnedCodec(tiny_model(), "cpu", exact=True)
    contents = container.unpack_file(codec.encode(picture(40, 30)).stream, codec._tag())
    unchecked = container.pack_file(contents._replace(width=39, checksum=None), codec._tag(version=1))
    with pytest.raises(CodecError, match="checksum is wrong"):
        codec.decode(unchecked)
    with pytest.raises(ConfigurationError, match="version 2 alone"):
        LearnedCodec(tiny_model(), "cpu", version=1, exact=True)


def change_synthesis(model: torch.nn.Module) -> torch.nn.Module:
    """Weights that decode the same symbols to another picture."""
    with torch.no_grad():
        next(model.g_s.parameters())[0] += 1e-3
    return model


def change_hyper_synthesis(model: torch.nn.Module) -> torch.nn.Module:
    """Weights that read other scales here and there."""
    with torch.no_grad():
        for parameter in model.h_s.parameters():
            parameter.mul_(1 + 1e-3)
    return model


@pytest.mark.parametrize(("make", "error"), [
    (lambda: change_synthesis(tiny_model()), LatentsMismatch),
    (lambda: change_hyper_synthesis(tiny_model()), CodecError),
    (lambda: tiny_model(1), CodecError),
])
def test_other_weights_are_refused(make, error) -> None:
    stream = LearnedCodec(tiny_model(), "cpu").encode(picture(70, 50)).stream
    with pytest.raises(error):
        LearnedCodec(make(), "cpu").decode(stream)


@pytest.mark.parametrize("name", ["compressai:bmshj2018-factorized", "compressai:mbt2018"])
def test_other_weights_of_compressais_models_are_refused(name: str) -> None:
    stream = LearnedCodec(lively_zoo_model(name), "cpu").encode(picture(70, 41)).stream
    with pytest.raises(LatentsMismatch):
        LearnedCodec(change_synthesis(lively_zoo_model(name)), "cpu").decode(stream)


def test_a_decoder_that_drifts_is_an_error_and_the_same_latents_are_none(monkeypatch) -> None:
    codec = LearnedCodec(tiny_model(), "cpu")
    stream = codec.encode(picture(70, 50)).stream
    same = codec.decode(stream)
    model, synthesise, failures = codec._model, codec._model.hyper_synthesis, 0
    for drift in (0, 1e-9, 1e-4, 1e-3, 1e-2):
        monkeypatch.setattr(model, "hyper_synthesis", lambda z, drift=drift: synthesise(z) * (1 + drift))
        try:
            pixels = codec.decode(stream)
        except CodecError:
            failures += 1
        else:
            assert int(np.abs(pixels.astype(int) - same).max()) <= 1
    assert 0 < failures < 5


def test_a_symbol_that_is_read_otherwise_is_a_mismatch(monkeypatch) -> None:
    """A decoder that reads to the stream's end, with one latent of all another."""
    codec = LearnedCodec(tiny_model(), "cpu")
    stream = codec.encode(picture(70, 50)).stream
    decode = learned_codec.LearnedCodec._decode_streams

    def drift(*arguments):
        decoded = decode(*arguments)
        return decoded._replace(latents_crc=decoded.latents_crc ^ 1)

    monkeypatch.setattr(learned_codec.LearnedCodec, "_decode_streams", drift)
    with pytest.raises(LatentsMismatch, match="not those that were encoded"):
        codec.decode(stream)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> CodecSpec:
    path = tmp_path_factory.mktemp("checkpoints") / "0.01.safetensors"
    write_float16(tiny_model(), path, {})
    return CodecSpec("learned", "tiny", "0.01", {"lambda": 0.01},
                     {"model": "hpcm_base", "options": TINY, "label": "Tiny", "miniature": True, "metric": "mse"},
                     {"checkpoint": str(path)})


def test_files_of_version_1_decode_unchecked(spec: CodecSpec) -> None:
    codec, image = build_codec(spec), picture(70, 50)
    older = build_codec(CodecSpec(**{**vars(spec), "settings": {**spec.settings, "format": 1}}))
    old, new = older.encode(image).stream, codec.encode(image).stream
    decoded = codec.decode_checked(old)
    assert not decoded.checked and np.array_equal(decoded.pixels, older.decode(old))
    assert codec.decode_checked(new).checked and older.decode_checked(new).checked
    assert decoded.latents_crc == codec.decode_checked(new).latents_crc == codec.encode(image).latents_crc

    # As it was: the tag starts at 0xB3 and goes on with the options, then the model's state; no checksum.
    agreed = json.dumps(["hpcm_base", TINY], sort_keys=True, separators=(",", ":"))
    coded = older._model.compress(pad(image, older.encode(image).padding))["strings"]
    y_stream, z_stream = (streams[0] for streams in coded)
    content = b"".join((bytes([70, 50, 4]), leb128(len(y_stream)), y_stream, z_stream))
    assert old == mend(content, crc_hqx(b"0", crc_hqx(agreed.encode(), 0xB3)))
    assert describe_agreed(spec.settings) == agreed and len(new) == len(old) + 4


def pad(image: np.ndarray, padding: tuple[int, int, int, int]) -> torch.Tensor:
    left, top, right, bottom = padding
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)))
    return torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255


def test_the_decoders_process_tells_the_checksum(spec: CodecSpec, tmp_path) -> None:
    encoding = build_codec(spec).encode(picture(70, 50))
    (tmp_path / "file").write_bytes(encoding.stream)
    decoder = find_kept_decoder()
    decoder.prepare(spec, torch={"threads": 1, "deterministic": False}, timeout_s=120)
    decoded, _ = decoder.decode_checked(tmp_path / "file")
    assert decoded.checked and decoded.latents_crc == encoding.latents_crc
    assert np.array_equal(decoded.pixels, encoding.reconstruct())


class Raw(torch.nn.Module):
    """A model of a user's: its only stream is the image, and nobody sees its latents."""

    padding_multiple = 16

    def __init__(self, gain: float = 1) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(float(gain)))

    def encode_image(self, x: torch.Tensor) -> EncodedImage:
        stream = (255 * x / self.gain).round().byte().detach().numpy().tobytes()
        return EncodedImage({"y": stream}, tuple(x.shape[2:]), lambda: x, lambda: 8.0 * len(stream))

    def decode_image(self, streams: tuple[bytes, ...], shape: tuple[int, ...]) -> torch.Tensor:
        planes = np.frombuffer(streams[0], np.uint8).reshape(3, *shape)
        return torch.from_numpy(planes.copy()).float()[None] * self.gain.detach() / 255


def test_where_nobody_sees_latents_files_are_unchecked_but_of_the_same_weights() -> None:
    image = picture(40, 30)
    encoding = LearnedCodec(Raw(), "cpu").encode(image)
    decoded = LearnedCodec(Raw(), "cpu").decode_checked(encoding.stream)
    assert np.array_equal(decoded.pixels, image)
    assert (decoded.checked, decoded.latents_crc, encoding.latents_crc) == (False, None, None)
    with pytest.raises(LatentsMismatch):
        LearnedCodec(Raw(0.5), "cpu").decode(encoding.stream)


def test_a_model_with_a_coder_of_its_own_is_unchecked() -> None:
    torch.manual_seed(0)
    codec = LearnedCodec(OtherCoder(8, 12).eval(), "cpu")
    encoding = codec.encode(picture(64, 64))
    decoded = codec.decode_checked(encoding.stream)
    assert np.array_equal(decoded.pixels, encoding.reconstruct())
    assert (decoded.checked, encoding.latents_crc) == (False, None)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory"), ValueError("x"), KeyError(1)])
def test_whatever_a_model_raises_is_an_error_of_the_suites_own(error: Exception, monkeypatch) -> None:
    codec = LearnedCodec(tiny_model(), "cpu")
    stream = codec.encode(picture(40, 30)).stream
    monkeypatch.setattr(codec._model, "code_latents", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(CodecError, match=type(error).__name__) as caught:
        codec.decode(stream)
    assert caught.value.__cause__ is error


def test_an_image_that_no_file_may_hold_is_not_encoded(monkeypatch) -> None:
    monkeypatch.setattr(container, "LARGEST_IMAGE", 70 * 49)
    with pytest.raises(CodecError, match="70x50 pixels are more than the 3,430 .*\n.*in parts"):
        LearnedCodec(tiny_model(), "cpu").encode(picture(70, 50))


@pytest.mark.parametrize(("model", "shape"), [
    (Raw(), (1, 10**6)), (Raw(), (49,)), (Raw(), (48, 33)), (Raw(), (2, 40, 1, 40)),
    (tiny_model(), (4, 4)), (tiny_model(), (5, 4)),  # whose stride tells it
])
def test_shapes_that_no_image_of_the_size_can_have_are_refused(model, shape: tuple[int, ...], monkeypatch) -> None:
    codec = LearnedCodec(model, "cpu")
    stream = codec.encode(picture(20, 40)).stream
    contents = container.unpack_file(stream, codec._tag())
    monkeypatch.setattr(codec._model, "decode_image", lambda _, shape: pytest.fail(f"decodes shape {shape}"))
    changed = container.pack_file(contents._replace(shape=shape), codec._tag())
    with pytest.raises(CodecError, match="can't have hyper-latents of shape"):
        codec.decode(changed)


TABLES = ([[0, 20000, 50000, 65535, 65536]], [5], [-1])  # symbols -1 to 1, and an escape
SYMBOLS = [0, 1, -1, 0, 0, 7, 1, -9, 0, 1, 1, 0]
ROWS = [0] * len(SYMBOLS)


def test_symbols_count_alike_however_they_are_coded() -> None:
    def encode_whole() -> bytes:
        return RansEncoder().encode_with_indexes(SYMBOLS, ROWS, *TABLES)

    def encode_in_parts() -> bytes:
        encoder = BufferedRansEncoder()
        for part in (slice(5), slice(5, None)):
            encoder.encode_with_indexes(SYMBOLS[part], ROWS[part], *TABLES)
        return encoder.flush()

    def decode_whole() -> None:
        assert RansDecoder().decode_with_indexes(stream, ROWS, *TABLES) == SYMBOLS

    def decode_in_parts() -> None:
        decoder = RansDecoder()
        decoder.set_stream(stream)
        assert [decoder.decode_stream([0], *TABLES)[0] for _ in SYMBOLS] == SYMBOLS

    stream, checksums = encode_whole(), set()
    for code in (encode_whole, encode_in_parts, decode_whole, decode_in_parts):
        with record_coding() as record:
            assert code() in (stream, None)
        checksums.add(record.latents_crc([stream]))
        assert record.latents_crc([stream, b"of another coder"]) is None
    assert len(checksums) == 1 and None not in checksums
    with record_coding() as record:
        assert RansEncoder().encode_with_indexes(SYMBOLS[::-1], ROWS, *TABLES) != stream
    assert record.latents_crc([stream]) is None


def test_a_stream_that_is_not_read_to_its_end_is_an_error() -> None:
    stream = RansEncoder().encode_with_indexes(SYMBOLS, ROWS, *TABLES)
    with pytest.raises(StreamError, match="goes on"), record_coding():
        decoder = RansDecoder()
        decoder.set_stream(stream)
        decoder.decode_stream(ROWS[1:], *TABLES)
    with pytest.raises(StreamError, match="ends too early"), record_coding():
        RansDecoder().decode_with_indexes(stream, ROWS * 9, *TABLES)
    with pytest.raises(CodecError, match="beyond 16777216"), record_coding():
        RansEncoder().encode_with_indexes([2**24 + 1] * 9, [0] * 9, *TABLES)


def test_recording_leaves_coders_as_they_were() -> None:
    stream = RansEncoder().encode_with_indexes(SYMBOLS, ROWS, *TABLES)
    with pytest.raises(ZeroDivisionError), record_coding():
        raise ZeroDivisionError
    assert RansDecoder().decode_with_indexes(stream, ROWS[1:], *TABLES) == SYMBOLS[:-1]  # with a part unread
    assert RansEncoder().encode_with_indexes(SYMBOLS, ROWS, *TABLES) == stream


def test_threads_record_their_own_symbols() -> None:
    codecs = [LearnedCodec(lively_zoo_model("compressai:mbt2018-mean"), "cpu") for _ in range(2)]
    images = [picture(70, 41, seed) for seed in range(4)]
    alone = [codecs[0].encode(image).latents_crc for image in images]

    def pass_over(task: SimpleNamespace) -> tuple[int | None, bool]:
        encoding = task.codec.encode(task.image)
        return encoding.latents_crc, task.codec.decode_checked(encoding.stream).checked

    tasks = [SimpleNamespace(codec=codecs[number % 2], image=image) for number, image in enumerate(images)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(pass_over, tasks)) == [(crc, True) for crc in alone]

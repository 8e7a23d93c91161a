"""Every classical codec that is available here, on small images, and what is said when something is wrong."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.codecs import CODECS, CodecSpec, build_codec, ffmpeg
from bench.codecs.program import run_program
from bench.common.errors import CodecError, CodecUnavailable, ConfigurationError

CLASSICAL = ["jpeg", "jpeg2000", "webp", "avif", "jpegxl", "hevc", "vvenc"]
BY_FFMPEG = ["avif", "jpegxl", "hevc", "vvenc"]
REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(params=CLASSICAL)
def name(request: pytest.FixtureRequest) -> str:
    skip_unless_available(request.param)
    return request.param


def skip_unless_available(name: str) -> None:
    fault = CODECS.get(name).available()
    if fault:
        pytest.skip(fault)


def picture(height: int, width: int) -> np.ndarray:
    """Noise with the 1/f spectrum of natural images, mostly grey, with an edge."""
    generator = np.random.default_rng(3)
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    spectrum = np.fft.rfft2(generator.normal(size=(3, height, width))) / (frequencies + 0.02)
    grey, warm, cold = np.fft.irfft2(spectrum, s=(height, width))
    image = 120 + 4 * grey[..., None] + np.stack([warm, 0 * warm, cold], axis=-1)
    image[height // 3 :, width // 2 :] *= 0.6
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def psnr_db(original: np.ndarray, decoded: np.ndarray) -> float:
    return 10 * math.log10(255**2 / np.mean((original.astype(float) - decoded) ** 2))


def middle_spec(name: str) -> CodecSpec:
    specs = CODECS.get(name).default_specs()
    return specs[len(specs) // 2]


@pytest.mark.parametrize("size", [(48, 64), (17, 33), (1, 1)], ids=lambda size: f"{size[1]}x{size[0]}")
def test_a_fresh_codec_decodes_what_another_wrote(name, size):
    image = picture(*size)
    encoding = build_codec(middle_spec(name)).encode(image)
    decoded = build_codec(middle_spec(name)).decode(encoding.stream)
    assert decoded.shape == image.shape and decoded.dtype == np.uint8
    assert np.array_equal(decoded, build_codec(middle_spec(name)).decode(encoding.stream))
    if encoding.parts:
        assert sum(encoding.parts.values()) == len(encoding.stream)
    if min(size) > 1:
        assert psnr_db(image, decoded) > 24
        assert len(encoding.stream) < image.size


def test_quality_and_rate_grow_along_the_default_points(name):
    image = picture(96, 128)
    sizes, qualities = [], []
    for spec in CODECS.get(name).default_specs():
        codec = build_codec(spec)
        stream = codec.encode(image).stream
        sizes.append(len(stream))
        qualities.append(psnr_db(image, codec.decode(stream)))
    assert sizes == sorted(set(sizes))
    assert qualities == sorted(set(qualities))
    assert len(sizes) >= 6


@pytest.mark.parametrize("best", [
    CodecSpec("jpeg", "jpeg", "best", {"quality": 100}),
    CodecSpec("jpeg2000", "jpeg2000", "best", {"target_psnr_db": 60}),
    CodecSpec("avif", "avif", "best", {"crf": 1}),
    CodecSpec("jpegxl", "jpegxl", "best", {"distance": 0.05}),
    CodecSpec("hevc", "hevc", "best", {"qp": 0}),
], ids=lambda spec: spec.codec)
def test_no_colour_is_lost_on_the_way(best):
    """At its finest a 4:4:4 codec comes close on saturated colours: a wrong matrix or range would not."""
    skip_unless_available(best.codec)
    rows, columns = np.mgrid[0:64, 0:64] * 215 // 63 + 20  # away from the limits, where clipping has a bias
    image = np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)
    codec = build_codec(best)
    decoded = codec.decode(codec.encode(image).stream)
    assert psnr_db(image, decoded) > 42
    assert np.abs((decoded.astype(float) - image).mean(axis=(0, 1))).max() < 0.5


def test_420_codecs_keep_smooth_colours():
    rows, columns = np.mgrid[0:64, 0:64]
    image = np.stack([40 + 2 * rows, 60 + 2 * columns, 200 - 2 * rows], axis=-1).astype(np.uint8)
    for name, finest in (("webp", {"quality": 100}), ("vvenc", {"qp": 1})):
        spec = CodecSpec(name, name, "best", finest)
        skip_unless_available(spec.codec)
        codec = build_codec(spec)
        assert psnr_db(image, codec.decode(codec.encode(image).stream)) > 42


def test_a_separate_process_needs_the_specification_and_the_file_only(tmp_path):
    skip_unless_available("vvenc")
    spec, image = middle_spec("vvenc"), picture(19, 35)
    codec = build_codec(spec)
    stream = codec.encode(image).stream
    (tmp_path / "file").write_bytes(stream)
    names = ("codec", "name", "point", "point_settings", "settings")
    fields = {field: getattr(spec, field) for field in names}
    program = (
        "import sys, json; from bench.codecs import CodecSpec, build_codec;"
        "codec = build_codec(CodecSpec(**json.loads(sys.argv[1])));"
        "sys.stdout.buffer.write(codec.decode(open(sys.argv[2], 'rb').read()).tobytes())"
    )
    command = [sys.executable, "-c", program, json.dumps(fields), str(tmp_path / "file")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    assert done.stdout == codec.decode(stream).tobytes()


def test_streams_are_the_codecs_own():
    """Subsampling, range and matrix as the streams state them, and no text of the libraries inside."""
    image = picture(64, 64)
    stream = {}
    for name in CLASSICAL:
        if CODECS.get(name).available() is None:
            stream[name] = build_codec(middle_spec(name)).encode(image).stream
    assert [layer[1:3] for layer in Image.open(io.BytesIO(stream["jpeg"])).layer] == [(1, 1)] * 3
    assert stream["jpeg2000"].startswith(b"\xff\x4f\xff\x51") and b"OpenJPEG" not in stream["jpeg2000"]
    assert stream["webp"][8:16] == b"WEBPVP8 "
    if "jpegxl" in stream:
        assert stream["jpegxl"].startswith(b"\xff\x0a")
    for name, start in [("avif", b"\x12\0\x0a"), ("hevc", b"\0\0\0\1"), ("vvenc", b"\0\0\0\1")]:
        if name not in stream:
            continue
        assert stream[name].startswith(bytes([0, 63, 0, 63]) + start)
        assert not re.search(rb"[ -~]{24}", stream[name]), f"{name} has text in its stream"


def test_padding_is_recorded():
    for name, size, padding in [("hevc", (17, 33), (0, 0, 0, 0)), ("vvenc", (17, 33), (0, 0, 1, 1)),
                                ("vvenc", (20, 5), (0, 0, 11, 0)), ("jpeg", (17, 33), (0, 0, 0, 0))]:
        skip_unless_available(name)
        assert build_codec(middle_spec(name)).encode(picture(*size)).padding == padding


def test_foreign_streams_are_errors(name):
    codec = build_codec(middle_spec(name))
    other = build_codec(middle_spec("webp" if name == "jpeg" else "jpeg")).encode(picture(16, 16)).stream
    for stream in (b"", b"not a stream", other):
        with pytest.raises(CodecError):
            codec.decode(stream)


@pytest.mark.parametrize("cut", sorted(set(CLASSICAL) - {"hevc"}))  # ffmpeg's HEVC decoder conceals it
def test_truncated_streams_are_errors(cut):
    skip_unless_available(cut)
    codec = build_codec(middle_spec(cut))
    stream = codec.encode(picture(64, 64)).stream
    with pytest.raises(CodecError):
        codec.decode(stream[: len(stream) // 2])


def test_an_identity_states_versions_and_settings_without_paths(name):
    entry, spec = CODECS.get(name), middle_spec(name)
    identity = entry.identify(spec)
    assert json.loads(json.dumps(identity)) == identity
    assert re.search(r"\d+\.\d+", identity["codec_version"]) and "unknown" not in identity["codec_version"]
    assert identity["revision"] >= 1 and identity["point_settings"] == dict(spec.point_settings)
    assert identity["settings"]["threads"] == 1 and identity["settings"]["file"]
    text = json.dumps(identity)
    assert str(Path.home()) not in text and str(REPOSITORY) not in text and sys.prefix not in text
    assert identity == entry.identify(replace(spec, settings={}))


def test_vvenc_is_identified_with_its_version():
    skip_unless_available("vvenc")
    assert re.match(r"VVenC \d+\.\d+", CODECS.get("vvenc").identify(middle_spec("vvenc"))["codec_version"])


@pytest.mark.parametrize("point", [{}, {"qp": 99}, {"qp": "32"}, {"qp": True}, {"qp": 31.5}, {"quality": 50},
                                   {"qp": 32, "quality": 50}], ids=str)
def test_impossible_rate_points_are_refused(point):
    with pytest.raises(ConfigurationError, match="whole number from 0 to 51"):
        build_codec(CodecSpec("hevc", "hevc", "x", point))


def test_unknown_settings_are_refused():
    with pytest.raises(ConfigurationError, match="has no setting speeed"):
        build_codec(replace(middle_spec("avif"), settings={"speeed": 3}))


def test_an_image_beyond_the_codec_s_limit_is_an_error_of_that_image():
    with pytest.raises(CodecError, match="16400x1"):
        build_codec(middle_spec("webp")).encode(np.zeros((1, 16400, 3), np.uint8))


@pytest.fixture()
def other_ffmpeg(monkeypatch, tmp_path):
    """Put a program of the test's in ffmpeg's place."""
    caches = (ffmpeg.find_ffmpeg, ffmpeg.list_codecs, ffmpeg.find_library_version)

    def replace_with(body: str) -> None:
        program = tmp_path / "ffmpeg"
        program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
        clear()

    def clear() -> None:
        for cache in caches:
            cache.cache_clear()

    yield replace_with
    monkeypatch.undo()
    clear()


LISTING = """
if "-codecs" in sys.argv:
    print(" DEVI.S jpegxl  JPEG XL (decoders: libjxl) (encoders: libjxl)")
    print(" DEV.LS hevc    HEVC (encoders: libx265)")
    print(" ..V.L. vvc     VVC")
    sys.exit()
"""


@pytest.mark.parametrize("codec", BY_FFMPEG)
def test_no_ffmpeg(codec, other_ffmpeg, monkeypatch, tmp_path):
    other_ffmpeg("")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nowhere"))
    assert "imageio-ffmpeg" in CODECS.get(codec).available()
    with pytest.raises(CodecUnavailable, match="imageio-ffmpeg"):
        build_codec(middle_spec(codec))


def test_an_ffmpeg_without_vvc(other_ffmpeg):
    other_ffmpeg(LISTING)
    assert CODECS.get("hevc").available() is None
    assert "no vvc decoder" in CODECS.get("vvenc").available()
    with pytest.raises(CodecUnavailable, match="install the package imageio-ffmpeg"):
        build_codec(middle_spec("vvenc"))


@pytest.mark.parametrize(("body", "message"), [
    ("print('[x @ 0x5a] no memory left', file=sys.stderr); sys.exit(9)", r"status 9: \[x\] no memory left"),
    ("open('stream', 'wb').write(b'Configuration warning: hello')", "wrote no hevc stream"),
], ids=["fails", "prints text"])
def test_a_failing_encoder_is_an_error_of_the_image(other_ffmpeg, tmp_path, body, message):
    other_ffmpeg(LISTING + body)
    with pytest.raises(CodecError, match=message) as caught:
        build_codec(middle_spec("hevc")).encode(picture(16, 16))
    assert str(tmp_path) not in str(caught.value)


def test_programs_that_hang_or_do_not_exist(tmp_path):
    with pytest.raises(CodecError, match="did not finish within 0.2 s"):
        run_program([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2)
    with pytest.raises(CodecUnavailable, match="can't be started"):
        run_program([str(tmp_path / "absent")])
    complain = "import sys; sys.exit('can not open ' + sys.argv[1])"
    with pytest.raises(CodecError, match="can not open a.cfg"):
        run_program([sys.executable, "-c", complain, str(tmp_path / "a.cfg")])


def test_importing_the_codecs_is_light():
    program = (
        "import sys, subprocess\n"
        "def refuse(*a, **k): raise AssertionError('a process was started')\n"
        "subprocess.Popen.__init__ = refuse\n"
        "import bench.codecs\n"
        "heavy = {'torch', 'compressai', 'imageio_ffmpeg', 'scipy'} & set(sys.modules)\n"
        "print(sorted(heavy), *bench.codecs.CODECS)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy, *names = done.stdout.split()
    assert heavy == "[]"
    assert [name for name in names if name in CLASSICAL] == CLASSICAL

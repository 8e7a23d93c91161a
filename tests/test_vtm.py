"""The VTM runner, with programs that stand in for VTM: same command line, same files, a trivial coding.

The stand-in's encoder quantises samples by a step that grows with the QP, so that quality follows the QP.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.codecs import CODECS, CodecSpec, build_codec, vtm
from bench.codecs.colour import YCbCrFormat, planes_to_rgb, rgb_to_planes
from bench.common.errors import CodecError, CodecUnavailable

ENCODER = r'''
import json, sys, zlib, array
if len(sys.argv) == 1:
    print("\nVVCSoftware: VTM Encoder Version 22.2 [Linux][GCC 11.4.0][64 bit] [SIMD=AVX2]\n")
    sys.exit(1)
short, long = {}, {}
arguments = iter(sys.argv[1:])
for argument in arguments:
    if argument.startswith("--"):
        key, value = argument[2:].split("=")
        long[key] = value
    else:
        short[argument] = next(arguments)
json.dump({"short": short, "long": long}, open(LOG, "w"))
wide = int(long["InputBitDepth"]) > 8
width, height = int(short["-wdt"]), int(short["-hgt"])
data = open(short["-i"], "rb").read()
assert len(data) == 3 * width * height * (2 if wide else 1), "source.yuv is not one 4:4:4 frame"
samples = array.array("H" if wide else "B", data)
step = max(1, (int(short["-q"]) - 22) // 5 * (8 if wide else 2))  # none dropped up to QP 22
peak = 1023 if wide else 255
coded = array.array(samples.typecode, (min(peak, (sample + step // 2) // step * step) for sample in samples))
open(short["-o"], "wb").write(coded.tobytes())
head = json.dumps({"wide": wide}).encode() + b"\n"
open(short["-b"], "wb").write(head + zlib.compress(coded.tobytes()))
'''

DECODER = r'''
import json, sys, zlib
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
head, body = open(options["-b"], "rb").read().split(b"\n", 1)
assert options["-d"] == ("10" if json.loads(head)["wide"] else "8"), "wrong output bit depth"
open(options["-o"], "wb").write(zlib.decompress(body))
'''

RECIPES = {"vtm-8bit": YCbCrFormat("444", 8), "vtm-10bit": YCbCrFormat("444", 10)}


@pytest.fixture()
def install(tmp_path, monkeypatch):
    """Write the stand-ins, or other bodies, and set the variables."""

    def write(encoder: str = ENCODER, decoder: str = DECODER) -> None:
        for role, body in (("encoder", encoder), ("decoder", decoder)):
            program = tmp_path / role
            program.write_text(f"#!{sys.executable}\nLOG = {str(tmp_path / 'log.json')!r}\n{body}")
            program.chmod(0o755)
            monkeypatch.setenv(f"VTM_{role.upper()}", str(program))
        config = tmp_path / "encoder_intra_vtm.cfg"
        config.write_text("IntraPeriod : 1\n")
        monkeypatch.setenv("VTM_CONFIG", str(config))
        vtm.read_version.cache_clear()

    yield write
    vtm.read_version.cache_clear()


def spec(name: str, qp: int = 22) -> CodecSpec:
    return CodecSpec(name, name, f"qp{qp}", {"qp": qp})


def picture() -> np.ndarray:
    rows, columns = np.mgrid[0:21, 0:35]
    return np.stack([rows * 12, columns * 7, 255 - rows - columns], axis=-1).astype(np.uint8)


def psnr_db(image: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((image.astype(float) - other) ** 2))


@pytest.mark.parametrize("name", RECIPES)
def test_a_round_trip_costs_the_colour_conversion_only(install, name):
    install()
    image, layout = picture(), RECIPES[name]
    encoding = build_codec(spec(name)).encode(image)  # the stand-in drops nothing at this QP
    decoded = build_codec(spec(name)).decode(encoding.stream)
    assert np.array_equal(decoded, planes_to_rgb(rgb_to_planes(image, layout), layout))
    assert np.array_equal(decoded, encoding.reconstruct())
    assert encoding.parts == {"header": 4, "payload": len(encoding.stream) - 4}
    assert encoding.padding == (0, 0, 0, 0)
    assert np.array_equal(decoded, image) == (layout.depth == 10)


@pytest.mark.parametrize("name", RECIPES)
def test_the_command_line_is_the_recipe(install, tmp_path, name):
    install()
    build_codec(spec(name, 37)).encode(picture())
    log = json.loads((tmp_path / "log.json").read_text())
    depth = "8" if name == "vtm-8bit" else "10"
    assert log["long"] == {
        "InputChromaFormat": "444", "ChromaFormatIDC": "444", "ConformanceWindowMode": "1",
        "InputBitDepth": depth, "InternalBitDepth": "10", "OutputBitDepth": depth,
    }
    expected = {"-wdt": "35", "-hgt": "21", "-f": "1", "-q": "37"}
    assert expected.items() <= log["short"].items()
    assert log["short"]["-c"] == str(tmp_path / "encoder_intra_vtm.cfg")


@pytest.mark.parametrize("name", RECIPES)
def test_the_points_go_from_low_to_high(install, name):
    install()
    specs = CODECS.get(name).default_specs()
    assert [entry.point_settings["qp"] for entry in specs] == [42, 37, 32, 27, 22]
    image = picture()
    qualities = []
    for entry in specs[:-1]:
        codec = build_codec(entry)
        encoding = codec.encode(image)
        qualities.append(psnr_db(image, codec.decode(encoding.stream)))
        assert np.array_equal(codec.decode(encoding.stream), encoding.reconstruct())
    assert qualities == sorted(set(qualities))


def test_tiny_images_are_padded(install):
    install()
    image = np.full((1, 1, 3), (9, 200, 31), np.uint8)
    encoding = build_codec(spec("vtm-10bit")).encode(image)
    assert encoding.padding == (0, 0, 15, 15)
    assert np.array_equal(build_codec(spec("vtm-10bit")).decode(encoding.stream), image)


def test_the_version_is_the_banner_s(install, tmp_path):
    install()
    entry = CODECS.get("vtm-8bit")
    identity = entry.identify(spec("vtm-8bit"))
    assert identity["codec_version"].startswith("VTM 22.2, encoder_intra_vtm.cfg ")
    assert identity["settings"]["input_bits"] == 8 and identity["settings"]["internal_bits"] == 10
    assert str(tmp_path) not in json.dumps(identity)
    (tmp_path / "encoder_intra_vtm.cfg").write_text("IntraPeriod : 32\n")
    assert entry.identify(spec("vtm-8bit")) != identity


def test_a_program_that_is_not_vtm(install):
    install(encoder="print('hello')")
    with pytest.raises(CodecUnavailable, match="does not say that it is VTM"):
        CODECS.get("vtm-8bit").identify(spec("vtm-8bit"))


@pytest.mark.parametrize("variable", vtm.VARIABLES.values())
def test_what_is_missing_is_said_with_how_to_get_it(install, monkeypatch, tmp_path, variable):
    install()
    assert CODECS.get("vtm-10bit").available() is None
    absent = str(tmp_path / "absent")
    for value, complaint in [("", f"{variable} is not set"), (absent, f"{variable} names no")]:
        monkeypatch.setenv(variable, value)
        fault = CODECS.get("vtm-10bit").available()
        assert complaint in fault
        assert "VVCSoftware_VTM" in fault and "cmake" in fault and "VTM_DECODER" in fault
        with pytest.raises(CodecUnavailable, match=complaint):
            build_codec(spec("vtm-10bit"))


FAILURES = {
    "exits": ("import sys; sys.exit('can not open ' + sys.argv[2])", "status 1: can not open encoder_intra"),
    "writes nothing": ("pass", "encoder ended without an error but wrote no stream.bin"),
    "no reconstruction": ("open('stream.bin', 'w').write('x')", "wrote no reconstruction.yuv"),
}


@pytest.mark.parametrize(("body", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failing_encoder_is_an_error_of_the_image(install, tmp_path, body, message):
    install(encoder=body)
    with pytest.raises(CodecError, match=message) as caught:
        build_codec(spec("vtm-8bit")).encode(picture())
    assert str(tmp_path) not in str(caught.value)


def test_a_decoder_that_writes_another_size(install):
    install(decoder="open('decoded.yuv', 'wb').write(bytes(100))")
    codec = build_codec(spec("vtm-8bit"))
    with pytest.raises(CodecError, match="100 bytes are not one frame of 35x21"):
        codec.decode(codec.encode(picture()).stream)


def test_one_recipe_refuses_the_other_s_stream(install):
    install()
    stream = build_codec(spec("vtm-8bit")).encode(picture()).stream
    with pytest.raises(CodecError, match="wrong output bit depth"):
        build_codec(spec("vtm-10bit")).decode(stream)


def test_a_hanging_encoder_is_stopped(install, monkeypatch):
    install(encoder="import time; time.sleep(60)")
    monkeypatch.setattr(vtm, "ENCODE_TIMEOUT_S", 0.5)
    with pytest.raises(CodecError, match="did not finish within 0.5 s"):
        build_codec(spec("vtm-8bit")).encode(picture())
    assert not list(Path.cwd().glob("source.yuv"))

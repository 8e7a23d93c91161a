"""The colour path: against exact arithmetic, another implementation, and its own no-codec ceiling."""

from __future__ import annotations

import math
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from bench.codecs.colour import (
    YCbCrFormat,
    double_plane,
    halve_plane,
    planes_from_bytes,
    planes_to_bytes,
    planes_to_rgb,
    rgb_to_planes,
)
from bench.codecs.ffmpeg import find_ffmpeg
from bench.common.errors import CodecUnavailable

EIGHT, TEN = YCbCrFormat("444", 8), YCbCrFormat("444", 10)
EIGHT_420, TEN_420 = YCbCrFormat("420", 8), YCbCrFormat("420", 10)


def psnr_db(original: np.ndarray, other: np.ndarray) -> float:
    return 10 * math.log10(255**2 / np.mean((original.astype(float) - other) ** 2))


@pytest.fixture(scope="module")
def uniform() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (400, 600, 3), dtype=np.uint8)


def exact_ycbcr(red: int, green: int, blue: int, bits: int) -> list[Fraction]:
    """H.273, full range, BT.709, in rational numbers, before rounding."""
    kr, kb = Fraction(2126, 10000), Fraction(722, 10000)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    scale, middle = Fraction(2**bits - 1, 255), 2 ** (bits - 1)
    return [luma * scale, cb * scale + middle, cr * scale + middle]


@pytest.mark.parametrize("layout", [EIGHT, TEN], ids=str)
def test_planes_are_the_nearest_to_exact_arithmetic(layout, uniform):
    corners = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    image = np.concatenate([np.array(corners, np.uint8), uniform[0, :192]])[None]
    pixels = np.stack(rgb_to_planes(image, layout), axis=-1)[0]
    for pixel, coded in zip(image[0], pixels):
        for exact, sample in zip(exact_ycbcr(*map(int, pixel), layout.depth), coded):
            assert abs(min(exact, layout.peak) - int(sample)) <= Fraction(1, 2)


def test_planes_agree_with_another_implementation(uniform):
    """zimg, through ffmpeg's zscale filter, uses the same matrix and range in floating point."""
    try:
        ffmpeg = find_ffmpeg()
    except CodecUnavailable as error:
        pytest.skip(str(error))
    height, width = uniform.shape[:2]
    command = [
        ffmpeg, "-loglevel", "error", "-f", "rawvideo", "-pixel_format", "rgb24",
        "-video_size", f"{width}x{height}", "-i", "pipe:0",
        "-vf", "format=gbrp,zscale=matrixin=gbr:matrix=709:rangein=full:range=full,format=yuv444p",
        "-f", "rawvideo", "pipe:1",
    ]
    done = subprocess.run(command, input=uniform.tobytes(), capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"this ffmpeg can't convert with zscale: {done.stderr.decode()[-200:]}")
    other = np.frombuffer(done.stdout, np.uint8).reshape(3, height, width).astype(int)
    own = np.stack(rgb_to_planes(uniform, EIGHT)).astype(int)
    assert np.abs(own - other).max() <= 1
    assert np.mean(own != other) < 0.01


def test_ceiling_without_a_codec(uniform):
    """53.0 dB with 8 bits; with 10 bits no error reaches half a step of 8-bit RGB, so nothing is lost."""
    ceiling = psnr_db(uniform, planes_to_rgb(rgb_to_planes(uniform, EIGHT), EIGHT))
    assert ceiling > 50
    assert ceiling == pytest.approx(53.0, abs=0.2)
    assert np.array_equal(planes_to_rgb(rgb_to_planes(uniform, TEN), TEN), uniform)


def test_flooring_would_fail_the_ceiling(uniform, monkeypatch):
    monkeypatch.setattr(np, "rint", np.floor)
    assert psnr_db(uniform, planes_to_rgb(rgb_to_planes(uniform, EIGHT), EIGHT)) < 45


@pytest.mark.parametrize("layout", [EIGHT_420, TEN_420], ids=str)
def test_420_keeps_greys_and_flat_colours(layout):
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert np.array_equal(planes_to_rgb(rgb_to_planes(grey, layout), layout), grey)
    flat = np.full((10, 14, 3), (200, 31, 90), np.uint8)
    difference = planes_to_rgb(rgb_to_planes(flat, layout), layout).astype(int) - flat
    assert np.abs(difference).max() <= (1 if layout.depth == 8 else 0)


def test_chroma_is_centre_sited():
    """A plane has its ramp back exactly away from the edges: neither step shifts it by a fraction."""
    ramp = np.add.outer(3.0 * np.arange(24), 5.0 * np.arange(32))
    centres = np.add.outer(3 * (2 * np.arange(12) + 0.5), 5 * (2 * np.arange(16) + 0.5))
    assert np.allclose(halve_plane(ramp), centres)
    assert np.allclose(double_plane(halve_plane(ramp))[4:-4, 4:-4], ramp[4:-4, 4:-4])


def test_420_gives_smooth_colours_back():
    rows, columns = np.mgrid[0:64, 0:96] / 64
    red, green, blue = 120 + 90 * np.sin(3 * rows), 120 + 90 * np.cos(4 * columns), 170 * rows * columns
    image = np.stack([red, green, blue], axis=-1)
    image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    assert psnr_db(image, planes_to_rgb(rgb_to_planes(image, TEN_420), TEN_420)) > 50


@pytest.mark.parametrize("layout", [EIGHT, TEN, EIGHT_420, TEN_420], ids=str)
def test_raw_planes_have_the_layout_of_raw_video(layout):
    image = np.random.default_rng(1).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    planes = rgb_to_planes(image, layout)
    data = planes_to_bytes(planes)
    samples = 60 * 3 if layout.chroma == "444" else 60 * 3 // 2
    assert len(data) == samples * (1 if layout.depth == 8 else 2)
    first_row = np.frombuffer(data, "u1" if layout.depth == 8 else "<u2")[:10]
    assert np.array_equal(first_row, planes[0][0])
    for own, back in zip(planes, planes_from_bytes(data, 6, 10, layout)):
        assert np.array_equal(own, back)
    with pytest.raises(ValueError, match="not one frame of 10x6"):
        planes_from_bytes(data[:-2], 6, 10, layout)

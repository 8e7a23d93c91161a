"""PSNR, its YCbCr components and MS-SSIM in dB against scikit-image and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.metrics.quality.ms_ssim import ms_ssim_db
from bench.metrics.quality.psnr import mse, psnr_component_db, psnr_db, psnr_rgb_db


def psnr_ycbcr_db(original: np.ndarray, decoded: np.ndarray) -> tuple[float, ...]:
    return tuple(psnr_component_db(original, decoded, component) for component in ("y", "cb", "cr"))


@pytest.fixture()
def images() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    original = generator.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    noise = generator.integers(-9, 10, original.shape)
    return original, np.clip(original + noise, 0, 255).astype(np.uint8)


def test_psnr_equals_scikit_image(images):
    metrics = pytest.importorskip("skimage.metrics")
    assert mse(*images) == pytest.approx(metrics.mean_squared_error(*images), rel=1e-12)
    assert psnr_rgb_db(*images) == pytest.approx(metrics.peak_signal_noise_ratio(*images), abs=1e-9)


def test_components_equal_a_conversion_of_each_image(images):
    """The same figures from two converted images, by the matrix that ITU-T H.273 gives for BT.709."""
    matrix = np.array([[0.2126, 0.7152, 0.0722],
                       [-0.2126 / 1.8556, -0.7152 / 1.8556, 0.9278 / 1.8556],
                       [0.7874 / 1.5748, -0.7152 / 1.5748, -0.0722 / 1.5748]])
    first, second = (image.reshape(-1, 3).astype(float) @ matrix.T for image in images)
    expected = 10 * np.log10(255**2 / np.mean((first - second) ** 2, axis=0))
    assert psnr_ycbcr_db(*images) == pytest.approx(expected, abs=1e-9)


def test_grey_error_is_in_luma_alone():
    original = np.full((8, 8, 3), 100, np.uint8)
    luma, blue, red = psnr_ycbcr_db(original, original + np.uint8(5))
    assert luma == pytest.approx(10 * math.log10(255**2 / 25))
    assert blue > 200 and red > 200  # float rounding only


def test_identical_images_are_infinite(images):
    assert mse(images[0], images[0]) == 0
    assert psnr_rgb_db(images[0], images[0]) == math.inf
    assert psnr_ycbcr_db(images[0], images[0]) == (math.inf,) * 3


def test_difference_does_not_wrap_around():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert psnr_rgb_db(black, white) == psnr_rgb_db(white, black) == 0
    assert psnr_db(255**2) == 0


def test_ms_ssim_in_db():
    assert [ms_ssim_db(value) for value in (0, 0.9, 0.99)] == pytest.approx([0, 10, 20])
    assert ms_ssim_db(1.0) == math.inf


@pytest.mark.parametrize("first, second, said", [
    (np.zeros((2, 2, 3)), np.zeros((2, 2, 3)), "uint8"),
    (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8), "one size"),
    (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), r"\(H, W, 3\)"),
    (np.zeros((0, 2, 3), np.uint8), np.zeros((0, 2, 3), np.uint8), "one size"),
])
def test_what_is_no_image_pair_is_refused(first, second, said):
    for measure in (psnr_rgb_db, psnr_ycbcr_db):
        with pytest.raises(ValueError, match=said):
            measure(first, second)

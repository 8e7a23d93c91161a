"""Counted operations against the specification's own count and against layers worked out by hand."""

import pytest
import torch
from torch import nn

from bench.models import create
from bench.runners.complexity import kmac_per_pixel

LAST_ATTENTION = (4 * 640 * 640 + 2 * 64 * 640) / 256 / 1000  # of scale 3: its result is unused, and not computed


def test_layers_worked_out_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 4, 1))
    assert kmac_per_pixel(model, torch.zeros(2, 3, 12, 20)) == pytest.approx((3 * 8 * 9 + 8 * 9 + 8 * 4) / 1000)


def test_strided_and_transposed_convolutions():
    model = nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), nn.ConvTranspose2d(6, 3, 2, stride=2))
    assert kmac_per_pixel(model, torch.zeros(1, 3, 8, 8)) == pytest.approx(2 * 3 * 6 / 1000)


@pytest.mark.parametrize("name, published", [("hpcm_base", 918.56 - LAST_ATTENTION), ("hpcm_phi", 872.79)])
def test_models_have_the_published_count(name, published):
    model = create(name).eval()
    assert kmac_per_pixel(model, torch.zeros(1, 3, 256, 256)) == pytest.approx(published, abs=0.01)

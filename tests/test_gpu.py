"""The models on a GPU: exact decoding, and figures that agree with the CPU's."""

import pytest
import torch

from bench.models import create
from tests.reference_models import fill, manifest, picture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


@pytest.mark.parametrize("name", ["hpcm_base", "hpcm_phi"])
def test_streams_decode_exactly_on_a_gpu(name):
    figures = manifest(name)
    model = create(name).eval()
    fill(model, figures)
    model = model.cuda()
    model.update()
    image = picture(256, 512, seed=3).float().cuda()
    encoded = model.encode_image(image)
    decoded = model.decode_image(tuple(encoded.streams.values()), encoded.shape)
    assert torch.equal(decoded, encoded.reconstruct())


def test_float64_figures_are_the_recorded_ones_on_a_gpu():
    figures = manifest("hpcm_phi")
    model = create("hpcm_phi").double().eval()
    fill(model, figures)
    with torch.no_grad():
        output = model.cuda()(picture(256, 256, figures["image"]["seed"]).cuda())
    recorded = figures["outputs"]
    assert float(output["x_hat"].sum()) == pytest.approx(recorded["x_hat_sum"], rel=1e-9)
    assert float(-output["likelihoods"]["y"].log2().sum()) == pytest.approx(recorded["bits_y"], rel=1e-9)

"""1x1 convolutions by oneDNN: the same values as torch's layers, and only where there is nothing else to ask for."""

import pytest
import torch
from torch.nn import functional as F

from bench.models import pointwise
from bench.models.pointwise import CONVOLVE, Conv1x1

onednn = pytest.mark.skipif(CONVOLVE is None, reason="torch was built without oneDNN")


def convolved_exactly(layer, x):
    """In float64, as a sum over channels."""
    y = torch.einsum("oi,bihw->bohw", layer.weight[:, :, 0, 0].double(), x.double())
    y = y + layer.bias.double()[:, None, None]
    return torch.where(y > 0, y, 0.01 * y) if layer.activated else y


@pytest.mark.parametrize("activated", [False, True])
@pytest.mark.parametrize("channels", [(3, 16), (72, 36), (300, 40), (24, 1)])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_values_are_those_of_the_sum_over_channels(activated, channels, memory_format):
    torch.manual_seed(0)
    layer = Conv1x1(*channels, activated=activated).to(memory_format=memory_format)
    x = torch.randn(2, channels[0], 6, 10).to(memory_format=memory_format)
    expected = convolved_exactly(layer, x).float()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


@onednn
def test_onednn_runs_without_gradients_in_float32_only(monkeypatch):
    calls = []
    monkeypatch.setattr(pointwise, "CONVOLVE", lambda *given: calls.append(1) or CONVOLVE(*given))
    layer, x = Conv1x1(16, 16, activated=True), torch.randn(1, 16, 4, 4)
    layer(x).sum().backward()
    assert not calls and layer.weight.grad is not None
    with torch.no_grad():
        layer(x)
        assert len(calls) == 1
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
        assert layer.double()(x.double()).dtype == torch.float64
    assert len(calls) == 1


def test_inputs_stay_as_they_are():
    layer, x = Conv1x1(16, 16, activated=True), torch.randn(1, 16, 4, 4)
    kept = x.clone()
    with torch.no_grad():
        layer(x)
    layer(x)
    assert torch.equal(x, kept)


@onednn
@pytest.mark.parametrize("channels", [(24, 96), (96, 24), (72, 36), (36, 72), (48, 16), (24, 8), (24, 1)])
@torch.no_grad()
def test_at_the_widths_of_miniatures_bits_are_those_of_one_thread_of_torch(channels):
    """What they coded before stays the same file."""
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    layer = Conv1x1(*channels).to(memory_format=torch.channels_last)
    x = torch.randn(1, channels[0], 32, 48).to(memory_format=torch.channels_last)
    try:
        torch.set_num_threads(1)
        assert torch.equal(layer(x), F.conv2d(x, layer.weight, layer.bias))
    finally:
        torch.set_num_threads(threads)

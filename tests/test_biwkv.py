"""Bi-WKV: the recorded figures, a dense O(T^2) form written from the definition, gradients and invariances."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.operators import biwkv, kernels, status
from bench.operators.flops import BACKWARD_OPERATIONS, FORWARD_OPERATIONS

CASES = json.loads((Path(__file__).parent / "reference" / "biwkv4.json").read_text())["cases"]
EPS = 1e-6


@pytest.fixture(params=["native", "plain"])
def implementation(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setenv("BENCH_NATIVE", "0")
    elif not status("cpu").native:
        pytest.skip(status("cpu").label)
    return request.param


def recorded_inputs(case, dtype=torch.float64):
    """Inputs and the output's gradient, by the recipe in the file."""
    draw = np.random.Generator(np.random.Philox(key=case["key"])).standard_normal
    batch, tokens, channels = case["B"], case["T"], case["C"]
    decay, boost = case["decay_mean"] + draw(channels), draw(channels)
    shape = (batch, tokens, channels)
    k, v, grad = case["k_scale"] * draw(shape), draw(shape), draw(shape)
    return [torch.from_numpy(x).to(dtype) for x in (decay / tokens, boost / tokens, k, v, grad)]


def random_inputs(batch, tokens, channels, seed=0, dtype=torch.float64, spread=2.0):
    g = torch.Generator().manual_seed(seed)
    shapes = [(channels,)] * 2 + [(batch, tokens, channels)] * 3
    w, u, k, v, grad = (torch.randn(shape, generator=g, dtype=torch.float64).to(dtype) for shape in shapes)
    return [w * 3 / tokens, u, k * spread, v, grad]


def results(operator, w, u, k, v, grad, runs=32):
    """y and the gradients of sum(grad y) with respect to w, u, k, v."""
    leaves = [x.detach().clone().requires_grad_() for x in (w, u, k, v)]
    y = operator(*leaves, runs)
    return [y.detach(), *torch.autograd.grad((y * grad).sum(), leaves)]


def dense(w, u, k, v, runs=32):
    """The operator by its table of weights, (T, T) for each channel."""
    tokens = k.shape[1]
    length = -(-tokens // runs)
    i, j = torch.arange(tokens)[:, None, None], torch.arange(tokens)[None, :, None]
    start = i // length * length
    inside = (j >= start) & (j < i)
    leftover = (1 - w.exp()) * ((i - j).clamp(min=0) * w).exp()
    weights = torch.where(j > i, (-w * (j - i)).exp(), 0)
    weights = weights + torch.where(j < start, (-w * (i - j)).exp(), 0)
    weights = weights + torch.where(inside, (-w * (i - 1 - j)).exp(), 0)
    weights = weights + torch.where((j > start) & (j <= i), leftover, 0)

    none = torch.tensor(-torch.inf, dtype=k.dtype)
    keys = k[:, None]  # (B, 1, T, C) against (T, T, C)
    right = torch.where(j >= start, keys - w * (j - i), none)
    passed = torch.where((j > start) & (j <= i), keys + w * (i - j + 1), none)
    left = torch.where(j < start, keys - w * (i - j), none)
    near = torch.where(inside, keys - w * (i - 1 - j), none)
    top = torch.stack([right, passed, left, near]).amax((0, 3))
    top = torch.maximum(top, u + k)

    own = (u + k - top).exp()
    shares = weights * (keys - top[:, :, None]).exp()
    over = own * v + (shares * v[:, None]).sum(2)
    return over / (own + shares.sum(2) + EPS)


def assert_close(ours, theirs, tolerance):
    for one, other in zip(ours, theirs, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()) + 1e-15)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"T{case['T']}-key{case['key']}")
def test_recorded_figures(case, implementation):
    y, *gradients = results(biwkv, *recorded_inputs(case))
    found = {"y": y, **(dict(zip(("gw", "gu", "gk", "gv"), gradients)) if "autograd" in case else {})}
    for name, values in found.items():
        figures = case["y"] if name == "y" else case["autograd"][name]
        # 1e-14: at T = 1 gu and gk are what is left of differences of numbers of order 1
        assert abs(float(values.sum()) - figures["sum"]) <= 1e-10 * figures["sumsq"] ** 0.5 + 1e-14, name
        assert float((values**2).sum()) == pytest.approx(figures["sumsq"], rel=1e-10, abs=1e-20), name
    np.testing.assert_allclose(y[0, :6, :3], case["y_corner"], rtol=1e-10)
    np.testing.assert_allclose(y[-1, -1, :6], case["y_last"], rtol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"T{case['T']}-key{case['key']}")
def test_float32_is_near_float64(case, implementation):
    exact = results(biwkv, *recorded_inputs(case))
    single = results(biwkv, *recorded_inputs(case, torch.float32))
    assert single[0].dtype == torch.float32
    assert_close([single[0].double()], [exact[0]], 1e-5)
    if case["T"] > 1:
        assert_close([x.double() for x in single[3:]], exact[3:], 1e-4)


@pytest.mark.parametrize(("tokens", "runs"), [
    (1, 32), (2, 32), (31, 32), (32, 32), (33, 32), (64, 32), (100, 32), (100, 1), (100, 7), (100, 64), (33, 7), (2, 1),
])
def test_values_and_gradients_are_those_of_the_dense_form(tokens, runs, implementation):
    inputs = random_inputs(2, tokens, 5, seed=tokens + runs)
    assert_close(results(biwkv, *inputs, runs), results(dense, *inputs, runs), 1e-10)


def test_both_signs_of_a_strong_decay_agree_with_the_dense_form(implementation):
    for decay in (-0.7, 0.7):
        inputs = random_inputs(1, 70, 3, seed=3)
        inputs[0] = torch.full((3,), decay, dtype=torch.float64)
        assert_close(results(biwkv, *inputs), results(dense, *inputs), 1e-9)


def test_gradcheck(implementation):
    inputs = [x.requires_grad_() for x in random_inputs(2, 11, 3)[:4]]
    assert torch.autograd.gradcheck(lambda *x: biwkv(*x, runs=4), inputs)


def test_operators_are_registered_well(implementation):
    w, u, k, v, grad = random_inputs(1, 9, 3, dtype=torch.float32)
    torch.library.opcheck(torch.ops.bench.biwkv_backward.default, (grad, w, u, k, v, 4))
    leaves = [x.requires_grad_() for x in (w, u, k, v)]
    torch.library.opcheck(torch.ops.bench.biwkv.default, (*leaves, 4))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 50, 33), (1, 257, 96)])
def test_the_kernel_agrees_with_plain_torch(shape, dtype, tolerance, monkeypatch):
    if not status("cpu").native:
        pytest.skip(status("cpu").label)
    inputs = random_inputs(*shape, dtype=dtype)
    native = results(biwkv, *inputs)
    monkeypatch.setenv("BENCH_NATIVE", "0")
    plain = results(biwkv, *inputs)
    if shape[1] == 1:  # the gradients of w, u and k are residues there
        native, plain = [native[0], native[4]], [plain[0], plain[4]]
    assert_close(native, plain, tolerance)


def test_a_constant_added_to_the_keys_changes_nothing(implementation):
    w, u, k, v, grad = random_inputs(2, 40, 4)
    assert_close([biwkv(w, u, k + 300, v)], [biwkv(w, u, k, v)], 1e-12)
    gk = results(biwkv, w, u, k, v, grad)[3]
    assert float(gk.sum((0, 1)).abs().max()) < 1e-12 * float(gk.abs().sum())


def test_batch_entries_do_not_see_each_other(implementation):
    w, u, k, v, grad = random_inputs(3, 45, 20, dtype=torch.float32)
    y, _, _, gk, gv = results(biwkv, w, u, k, v, grad)
    order = [2, 0, 1]
    shuffled = results(biwkv, w, u, k[order], v[order], grad[order])
    for whole, moved in zip((y, gk, gv), (shuffled[0], *shuffled[3:])):
        assert torch.equal(whole[order], moved)
    alone = results(biwkv, w, u, k[1:2], v[1:2], grad[1:2])
    for whole, single in zip((y, gk, gv), (alone[0], *alone[3:])):
        assert torch.equal(whole[1:2], single)


def test_channels_do_not_see_each_other(implementation):
    w, u, k, v, grad = random_inputs(1, 45, 40)
    few = [5, 39, 17]
    whole = results(biwkv, w, u, k, v, grad)
    part = results(biwkv, w[few], u[few], k[..., few], v[..., few], grad[..., few])
    assert_close([x[..., few] for x in whole], part, 1e-13)


def test_inputs_need_not_be_contiguous(implementation):
    w, u, k, v, grad = random_inputs(2, 30, 6)
    expected = results(biwkv, w, u, k, v, grad)
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (k, v, grad)]
    wide = torch.stack([w, u], 1)
    assert not any(x.is_contiguous() for x in (*strided, wide[:, 0]))
    found = results(biwkv, wide[:, 0], wide[:, 1], *strided)
    assert found[0].is_contiguous()
    for one, other in zip(found, expected):
        assert torch.equal(one, other)


def test_the_number_of_threads_changes_no_bit(implementation):
    inputs = random_inputs(2, 130, 70, dtype=torch.float32)
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            found.append(results(biwkv, *inputs))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        for one, another in zip(found[0], other):
            assert torch.equal(one, another)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_values_stay_finite(dtype, implementation):
    for tokens in (1, 33, 100):
        for decay in (-1e4, -100.0, -1.0, 20.0, 100.0, 1e4):
            for boost in (-50.0, 50.0):
                w, u, k, v, grad = random_inputs(1, tokens, 4, dtype=dtype, spread=50)
                found = results(biwkv, w + decay, u + boost, k, v, grad)
                assert all(x.isfinite().all() for x in found), (tokens, decay, boost)


def test_autocast_computes_in_float32(implementation):
    w, u, k, v, _ = random_inputs(1, 12, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = biwkv(w, u, k.bfloat16(), v.bfloat16())
    assert y.dtype == torch.float32
    assert torch.equal(y, biwkv(w, u, k.bfloat16().float(), v.bfloat16().float()))


def test_wrong_inputs_are_refused():
    w, u, k, v, _ = random_inputs(2, 5, 3)
    with pytest.raises(TypeError, match="float16"):
        biwkv(w.half(), u.half(), k.half(), v.half())
    with pytest.raises(TypeError, match="float32, float64"):
        biwkv(w.float(), u, k, v)
    with pytest.raises(ValueError, match="k and v"):
        biwkv(w, u, k, v[:, 1:])
    with pytest.raises(ValueError, match="empty"):
        biwkv(w, u, k[:, :0], v[:, :0])
    with pytest.raises(ValueError, match="w and u"):
        biwkv(w[1:], u, k, v)
    with pytest.raises(ValueError, match="runs"):
        biwkv(w, u, k, v, runs=0)
    with pytest.raises(ValueError, match="one device"):
        biwkv(w.to("meta"), u, k, v)


def test_operations_are_counted(implementation):
    w, u, k, v, _ = random_inputs(2, 5, 3)
    with FlopCounterMode(display=False) as counter:
        y = biwkv(w, u, k.requires_grad_(), v)
        assert counter.get_total_flops() == FORWARD_OPERATIONS * 30
        y.sum().backward()
    assert counter.get_total_flops() == (FORWARD_OPERATIONS + BACKWARD_OPERATIONS) * 30


def test_torch_compile_leaves_the_operator_whole():
    w, u, k, v, _ = random_inputs(1, 6, 2)
    compiled = torch.compile(lambda *x: biwkv(*x) * 2, backend="eager", fullgraph=True)
    assert torch.equal(compiled(w, u, k, v), biwkv(w, u, k, v) * 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
class TestOnAGpu:
    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-11)])
    @pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 3), (3, 31, 17), (1, 32, 16), (2, 33, 70), (1, 1000, 5)])
    def test_agrees_with_the_cpu(self, shape, dtype, tolerance):
        assert kernels.KERNELS.get("cuda"), status("cuda").label
        inputs = random_inputs(*shape, dtype=dtype)
        here = results(biwkv, *inputs)
        there = [x.cpu() for x in results(biwkv, *(x.cuda() for x in inputs))]
        if shape[1] == 1:
            here, there = [here[0], here[4]], [there[0], there[4]]
        assert_close(there, here, tolerance)

    @pytest.mark.parametrize("runs", [1, 7, 64, 5000])
    def test_any_number_of_runs(self, runs):
        inputs = random_inputs(2, 130, 6)
        found = results(biwkv, *(x.cuda() for x in inputs), runs)
        assert_close([x.cpu() for x in found], results(dense, *inputs, runs), 1e-10)

    def test_plain_torch_agrees(self, monkeypatch):
        inputs = [x.cuda() for x in random_inputs(2, 65, 20)]
        native = results(biwkv, *inputs)
        monkeypatch.setenv("BENCH_NATIVE", "0")
        assert_close(native, results(biwkv, *inputs), 1e-11)

    def test_the_same_bits_every_time_and_in_any_batch(self):
        inputs = [x.cuda() for x in random_inputs(4, 300, 40, dtype=torch.float32)]
        first = results(biwkv, *inputs)
        for _ in range(5):
            for one, other in zip(first, results(biwkv, *inputs)):
                assert torch.equal(one, other)
        w, u, k, v, grad = inputs
        alone = results(biwkv, w, u, k[2:3], v[2:3], grad[2:3])
        for whole, single in zip((first[0], *first[3:]), (alone[0], *alone[3:])):
            assert torch.equal(whole[2:3], single)

    def test_follows_the_current_stream_and_autocast(self):
        w, u, k, v, _ = (x.cuda() for x in random_inputs(1, 40, 6, dtype=torch.float32))
        expected = biwkv(w, u, k, v)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            found = biwkv(w, u, k, v)
        stream.synchronize()
        assert torch.equal(found, expected)
        with torch.autocast("cuda", dtype=torch.float16):
            assert biwkv(w, u, k.half(), v.half()).dtype == torch.float32

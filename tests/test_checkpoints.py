"""Checkpoints: every published layout loads to the same streams, everything else is refused with its reason."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from privileges import binding_permissions
from tiny_models import TINY, picture, tiny_model
from torch import Tensor, nn

from bench.common.errors import CheckpointError
from bench.models import create_model
from bench.models.checkpoints import load_weights, read_weights, write_float16

TABLES = ("scale_table", "quantized_cdf_z", "cdf_length_z", "offset_z", "quantized_cdf_y", "cdf_length_y", "offset_y")
CONSTANTS = {"entropy_estimation.beta": 1.5, "entropy_estimation.scale_lower_bound.bound": 0.12,
             "entropy_estimation.likelihood_lower_bound.bound": 1e-9}
WEIGHT = "context_net.0.weight"


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return tiny_model()


@pytest.fixture
def state(trained: nn.Module) -> dict[str, Tensor]:
    """As the published trainers save it: the coder's tables are there, but empty."""
    return {name: torch.zeros(0) if name in TABLES else value.clone() for name, value in trained.state_dict().items()}


def fresh() -> nn.Module:
    torch.manual_seed(99)
    return create_model("hpcm_base", **TINY).eval()


def streams(model: nn.Module) -> list[list[bytes]]:
    image = torch.from_numpy(picture(64, 128)).permute(2, 0, 1)[None] / 255
    return model.compress(image)["strings"]


def load(path: Path):
    model = fresh()
    report = load_weights(model, read_weights(path), path.name)
    return model, report


def multi_gpu(state: dict) -> dict:
    return {f"module.{name}": value for name, value in state.items()}


BESIDE = {"epoch": 7, "best_loss": 0.25, "global_step": 100, "lr_scheduler": None, "train_stats": {"loss": [1.0, 2.0]},
          "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}}
LAYOUTS = {
    "bare": lambda state: state,
    "prefixed": multi_gpu,
    "state_dict": lambda state: {**BESIDE, "state_dict": state},
    "state_dict, prefixed": lambda state: {**BESIDE, "state_dict": multi_gpu(state)},
    "model_state_dict": lambda state: {**BESIDE, "model_state_dict": state},
    "model_state_dict, prefixed": lambda state: {**BESIDE, "model_state_dict": multi_gpu(state)},
    "model": lambda state: {"model": state, "optimiser": {}},
    "net": lambda state: {"net": multi_gpu(state), "loss": torch.tensor(3.0)},
    "with a moving average": lambda state: {"state_dict": state, "ema_state_dict": {"a": torch.ones(1)}, "loss": 1.0},
    "twice": lambda state: {"model": {"state_dict": state}},
    "float64": lambda state: {name: value.double() for name, value in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_every_published_layout_gives_the_same_streams(layout, zipped, state, trained, tmp_path):
    path = tmp_path / "epoch_best.pth.tar"
    torch.save(LAYOUTS[layout](state), path, _use_new_zipfile_serialization=zipped)
    model, report = load(path)
    assert report.filled == () and set(report.ignored) == set(TABLES)
    assert streams(model) == streams(trained)
    assert any(len(stream) > 200 for part in streams(trained) for stream in part)


@pytest.mark.parametrize("tables", ["absent", "empty", "full", "of other sizes"])
def test_tables_are_always_rebuilt(tables, state, trained, tmp_path):
    for name in TABLES:
        state[name] = {"absent": None, "empty": torch.zeros(0), "full": trained.state_dict()[name],
                       "of other sizes": torch.full((3, 5), 7, dtype=torch.int32)}[tables]
    torch.save({name: value for name, value in state.items() if value is not None}, tmp_path / "a.pth")
    model, report = load(tmp_path / "a.pth")
    assert set(report.ignored) == (set() if tables == "absent" else set(TABLES))
    for name in TABLES:
        assert torch.equal(model.state_dict()[name], trained.state_dict()[name]), name
    assert streams(model) == streams(trained)


def test_loading_again_replaces_the_tables_of_the_weights_before(state, tmp_path):
    model = tiny_model(seed=1)
    torch.save(state, tmp_path / "a.pth")
    load_weights(model, read_weights(tmp_path / "a.pth"))
    assert streams(model) == streams(load(tmp_path / "a.pth")[0])


def test_missing_adaptive_parameters_are_ones(state, tmp_path):
    ones = tiny_model()
    with torch.no_grad():
        for parameter in ones.adaptive_params_list:
            parameter.fill_(1)
    names = [name for name in state if name.startswith("adaptive_params_list.")]
    torch.save({name: value for name, value in state.items() if name not in names}, tmp_path / "fork.pth")
    model, report = load(tmp_path / "fork.pth")
    assert len(names) == 10 and set(report.filled) == set(names)
    assert streams(model) == streams(ones)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
def test_safetensors_of_either_precision_load(dtype, state, tmp_path):
    """Whole files in float16 hold the bound of 1e-9 as zero; the model keeps its own constants."""
    weights = {name: value.to(dtype) for name, value in state.items() if name not in TABLES}
    safetensors.torch.save_file(weights, tmp_path / "0.01.safetensors")
    model, _ = load(tmp_path / "0.01.safetensors")
    loaded = model.state_dict()
    for name, value in weights.items():
        wanted = torch.tensor([CONSTANTS[name]]) if name in CONSTANTS else value.float()
        assert torch.equal(loaded[name], wanted), name
    torch.save(weights, tmp_path / "same.pth")
    assert streams(model) == streams(load(tmp_path / "same.pth")[0])


def test_published_constants_may_be_absent_but_not_differ(state, trained, tmp_path):
    torch.save({name: value for name, value in state.items() if name not in CONSTANTS}, tmp_path / "parameters.pth")
    model, report = load(tmp_path / "parameters.pth")
    assert set(report.filled) == set(CONSTANTS) and streams(model) == streams(trained)
    for name in CONSTANTS:
        with pytest.raises(CheckpointError, match=f"another constant: {name}"):
            load_weights(fresh(), {**state, name: state[name] + 0.01})


@pytest.mark.parametrize(("change", "told"), [
    (lambda s: s.pop(WEIGHT), f"missing: {WEIGHT}"),
    (lambda s: s.update(extra=torch.ones(2)), "unexpected: extra"),
    (lambda s: s.update({WEIGHT: torch.ones(3, 4)}),
     rf"of another shape: {WEIGHT} \(3, 4\) instead of \(16, 16, 1, 1\)"),
    (lambda s: s.update({WEIGHT: torch.ones(16, 16, 1, 1, dtype=torch.int8)}), f"not floating-point.*: {WEIGHT}"),
    (lambda s: s.update({WEIGHT: torch.ones(16, 16, 1, 1, dtype=torch.complex64)}), f"not floating.*: {WEIGHT}"),
    (lambda s: s.update({WEIGHT: s[WEIGHT].to_sparse()}), f"not floating-point numbers: {WEIGHT}"),
    (lambda s: s[WEIGHT][3, 2].fill_(float("nan")), f"not finite: {WEIGHT}"),
    (lambda s: s["means_hyper"][0, 1].fill_(float("-inf")), "not finite: means_hyper"),
    (lambda s: s.update(scales_hyper=torch.full((1, 4, 1, 1), 1e300, dtype=torch.float64)), "not finite: scales_hyper"),
    (lambda s: s.update({"n" * 100_000: torch.ones(1)}), r"unexpected: n{80}\.\.\.\n"),
    (lambda s: s.update({f"more.{i}": torch.ones(1) for i in range(30)}), "more.2 and 27 more"),
])
def test_what_would_change_the_output_is_listed_and_nothing_is_loaded(change, told, state, tmp_path):
    change(state)
    torch.save(state, tmp_path / "a.pth")
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=told) as caught:
        load_weights(model, read_weights(tmp_path / "a.pth"), "a.pth")
    assert str(caught.value).startswith("a.pth does not fit HPCM: ") and len(str(caught.value)) < 700
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_all_that_is_wrong_is_told_at_once(state):
    del state[WEIGHT]
    with pytest.raises(CheckpointError, match=rf"missing: {WEIGHT}; unexpected: a, b\n  check that the variant"):
        load_weights(fresh(), {**state, "a": torch.ones(1), "b": torch.ones(1)})


class RunsCode:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "protocol 4"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar"])
def test_a_pickle_that_would_run_code_does_not(kind, suffix, state, tmp_path):
    trace = tmp_path / "code_ran"
    content, path = {**state, "x": RunsCode(trace)}, tmp_path / f"evil{suffix}"
    if kind in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    else:
        path.write_bytes(pickle.dumps({"x": RunsCode(trace)}, protocol=4 if kind == "protocol 4" else 2))
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert not trace.exists()
    assert "weights_only" not in str(caught.value)  # torch's own words advise to trust the file
    if kind != "protocol 4":
        assert "would run code" in str(caught.value) and "mkdir" in str(caught.value)
    pickle.loads(pickle.dumps(RunsCode(trace)))
    assert trace.exists()  # the trap works


@pytest.mark.parametrize(("content", "told"), [
    ([torch.ones(2)], "holds a list, not a state dict"),
    (torch.ones(2), "holds a Tensor, not a state dict"),
    ({"a": np.ones(2)}, "would run code when unpickled"),
    ({0: torch.ones(2)}, "holds no state dict; its keys are 0"),
    ({"epoch": 3, "a": torch.ones(1)}, "its keys are epoch, a; of these no tensors: epoch"),
    ({"model": {"a": torch.ones(1)}, "net": {"a": torch.zeros(1)}}, "holds several state dicts: model, net"),
    ({"k" * 9999: 3}, r"its keys are k{80}\.\.\.\n"),
    ({}, "its keys are none"),
    ({"state_dict": {}}, "its keys are none"),
    ({"model": {"name": "hpcm"}}, "its keys are name"),
    ({"a": torch.ones(1), "module.a": torch.zeros(1)}, "with and without the prefix: module.a"),
])
def test_other_contents_are_named(content, told, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=told):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(200), b'{"state_dict": {}}', bytes(999),
                                     b"\xff" * 64, b"PK\x03\x04" + bytes(60)],
                         ids=["empty", "png", "json", "zeros", "ones", "zip"])
def test_foreign_files_are_refused(suffix, content, tmp_path):
    path = tmp_path / f"foreign{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=path.name):
        read_weights(path)


@pytest.fixture(params=["zip", "legacy", "safetensors"])
def whole(request, state, tmp_path) -> Path:
    path = tmp_path / ("whole.safetensors" if request.param == "safetensors" else "whole.pth")
    weights = {name: state[name] for name in (WEIGHT, "means_hyper")}
    if request.param == "safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=request.param == "zip")
    return path


def test_truncated_files_are_refused(whole):
    data = whole.read_bytes()
    read_weights(whole)
    for length in (1, 7, 8, 100, len(data) // 2, len(data) - 100, len(data) - 1):
        whole.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=whole.name):
            read_weights(whole)


def test_files_that_are_not_there(tmp_path):
    for path, told in ((tmp_path, "can't read .*: Is a directory"),
                       (tmp_path / "no.pth", "there is no checkpoint file"),
                       (tmp_path / ("x" * 300 + ".pth"), "can't read .*: File name too long"),
                       (tmp_path / "no.pth" / "no.pth", "there is no checkpoint file")):
        with pytest.raises(CheckpointError, match=told):
            read_weights(path)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_an_unreadable_file_says_so(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(bytes(100))
    path.chmod(0)
    with binding_permissions(), pytest.raises(CheckpointError, match="can't read .*: Permission denied"):
        read_weights(path)


def test_export_keeps_constants_and_leaves_tables_out(trained, tmp_path):
    path = tmp_path / "folder" / "0.01.safetensors"
    write_float16(trained, path, {"variant": "tiny"})
    stored = safetensors.torch.load_file(path)
    assert set(stored) == set(trained.state_dict()) - set(TABLES)
    for name, value in stored.items():
        assert value.dtype == (torch.float32 if value.numel() == 1 else torch.float16), name
    assert {name: float(stored[name]) for name in CONSTANTS} == {
        name: float(np.float32(value)) for name, value in CONSTANTS.items()}
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"variant": "tiny"}
    model, report = load(path)
    assert report.filled == () and report.ignored == ()
    assert torch.equal(model.context_net[0].weight, trained.context_net[0].weight.half().float())
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_export_refuses_what_float16_can_not_hold(value, tmp_path):
    model = tiny_model()
    with torch.no_grad():
        model.means_hyper[0, 2] = value
    with pytest.raises(CheckpointError, match="float16 can't hold the weights of means_hyper"):
        write_float16(model, tmp_path / "a.safetensors", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("order", ["little", "big"])
def test_files_of_either_byte_order_are_read_with_and_without_values(order, tmp_path):
    values, content = torch.tensor([1.5, -2.0]), io.BytesIO()
    torch.save({"a": values}, content)
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(tmp_path / "a.pth", "w") as new:
        for name in old.namelist():
            changed = {"data/0": values.numpy().astype(">f4").tobytes(), "byteorder": b"big"} if order == "big" else {}
            new.writestr(name, changed.get(name.partition("/")[2], old.read(name)))
    assert torch.equal(read_weights(tmp_path / "a.pth")["a"], values)
    shapes = read_weights(tmp_path / "a.pth", shapes_only=True)
    assert shapes["a"].is_meta and shapes["a"].shape == values.shape

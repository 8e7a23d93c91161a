"""Checkpoints as other trainers write them: wrapped names, counters, moving averages, numpy numbers beside them."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from bench.common.errors import CheckpointError
from bench.models.checkpoints import compare_names, load_weights, read_weights
from bench.models.coding_tables import use_tables
from bench.training.start.transfer import transfer_weights


class Codec(nn.Module):
    """Two layers and a normalisation, whose statistics count batches."""

    def __init__(self, seed: int = 0, inside: str = "g_a") -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.add_module(inside, nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
        self.g_s = nn.Conv2d(4, 3, 1)


def saved(path, content) -> dict[str, Tensor]:
    torch.save(content, path)
    return read_weights(path)


def assert_loaded(model: nn.Module, trained: nn.Module) -> None:
    wanted = {name: value for name, value in trained.state_dict().items() if "num_batches" not in name}
    assert all(torch.equal(model.state_dict()[name], value) for name, value in wanted.items())


@pytest.fixture
def trained() -> Codec:
    codec = Codec()
    codec.g_a(torch.rand(2, 3, 4, 4))  # a batch is counted
    return codec


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.",
                                    "model._orig_mod.", "model.module.", "_orig_mod.module.model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict"])
def test_wrappers_before_every_name_are_dropped_in_any_nesting(prefix, wrapper, trained, tmp_path):
    state = {prefix + name: value for name, value in trained.state_dict().items()}
    weights = saved(tmp_path / "a.pth", {wrapper: state, "epoch": 3} if wrapper else state)
    model = Codec(seed=1)
    report = load_weights(model, weights)
    assert_loaded(model, trained)
    assert report.counters == (f"{prefix.replace('_orig_mod.', '')}g_a.1.num_batches_tracked",)
    other = Codec(seed=2)
    moved = transfer_weights(other, weights)
    assert_loaded(other, trained)
    assert "g_s.weight" in moved["loaded"]


def test_a_compiled_part_is_the_part(trained, tmp_path):
    state = {name.replace("g_a.", "g_a._orig_mod."): value for name, value in trained.state_dict().items()}
    model = Codec(seed=1)
    load_weights(model, saved(tmp_path / "a.pth", state))
    assert_loaded(model, trained)


@pytest.mark.parametrize("inside", ["model", "module"])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_a_model_whose_own_parts_are_called_like_wrappers(inside, prefix, tmp_path):
    """All its names begin so: nothing is dropped but what is before them."""
    class Only(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            torch.manual_seed(seed)
            self.add_module(inside, nn.Linear(2, 2))

    trained, model = Only(0), Only(1)
    load_weights(model, saved(tmp_path / "a.pth", {prefix + name: v for name, v in trained.state_dict().items()}))
    assert_loaded(model, trained)


def test_counts_of_other_tools_are_passed_over_and_told(trained, tmp_path):
    state = dict(trained.state_dict())
    for part in ("", "g_a.", "g_a.0.", "g_s."):  # thop's
        state |= {f"{part}total_ops": torch.zeros(1, dtype=torch.float64), f"{part}total_params": torch.ones(1)}
    model = Codec(seed=1)
    report = load_weights(model, saved(tmp_path / "a.pth", state))
    assert_loaded(model, trained)
    assert len(report.counters) == 9 and "g_a.0.total_ops" in report.counters


@pytest.mark.parametrize(("names", "told"), [
    (["criterion.lpips.net.0.weight", "criterion.mean"], ("criterion.",)), (["loss.weight"], ("loss.",)),
    (["module.rate_loss.scale", "module.discriminator.0.weight"], ("module.rate_loss.", "module.discriminator.")),
    (["train_metrics.psnr.sum"], ("train_metrics.",)),
])
def test_parts_of_training_are_passed_over_and_told(names, told, trained, tmp_path):
    prefix = "module.model." if names[0].startswith("module.") else "model."
    state = {f"{prefix}{name}": value for name, value in trained.state_dict().items()}
    weights = saved(tmp_path / "a.ckpt", {"state_dict": {**dict.fromkeys(names, torch.ones(2)), **state}})
    model = Codec(seed=1)
    report = load_weights(model, weights)
    assert_loaded(model, trained)
    assert report.training == told
    assert transfer_weights(Codec(seed=2), weights)["loaded"]


def test_a_models_own_part_is_none_of_training(trained, tmp_path):
    """Its entry of another name would be lost unsaid."""
    model = Codec(inside="loss_net")
    state = {name.replace("g_a.", "loss_net."): value for name, value in trained.state_dict().items()}
    load_weights(model, saved(tmp_path / "a.pth", state))
    with pytest.raises(CheckpointError, match=r"unexpected: loss_net\.9\.weight"):
        load_weights(model, saved(tmp_path / "b.pth", {**state, "loss_net.9.weight": torch.ones(1)}))


def test_a_mismatch_of_many_names_is_short():
    class Wide(nn.Module):
        def __init__(self, part: str) -> None:
            super().__init__()
            self.add_module(part, nn.ModuleDict({f"a_layer_with_a_long_name_{number}": nn.Linear(300, 300)
                                                 for number in range(99)}))

    with pytest.raises(CheckpointError) as caught:
        load_weights(Wide("analysis_transform"), Wide("synthesis_transform").state_dict())
    text = str(caught.value)
    assert "analysis_transform.a_layer_with_a_long_name_0.weight" in text and "and 195 more" in text
    assert "all names of the file begin with 'synthesis_transform." in text and len(text) < 600


def test_an_averaged_model_alone_is_loaded(trained, tmp_path):
    model = Codec(seed=1)
    report = load_weights(model, saved(tmp_path / "a.pth", AveragedModel(trained).state_dict()))
    assert_loaded(model, trained)
    assert "n_averaged" in report.counters


@pytest.mark.parametrize(("average", "told"), [
    (lambda s: {"state_dict": s(0), "state_dict_ema": s(1)}, "state_dict_ema"),
    (lambda s: {"state_dict": s(0), "ema": s(1)}, "ema"),
    (lambda s: {"model": s(0), "model_ema": {"module": s(1), "decay": 0.9}}, "model_ema"),
    (lambda s: {"state_dict": {**s(0, "model."), **s(1, "ema_model.")}}, "ema_model."),
    (lambda s: {**s(0), **s(1, "module.ema.")}, "module.ema."),
    (lambda s: {**s(0, "module."), **{f"model_ema.{k.replace('.', '')}": v for k, v in s(1).items()}}, "model_ema."),
])
def test_weights_are_taken_and_averages_beside_them_told(average, told, trained, tmp_path):
    def state(seed: int, prefix: str = "") -> OrderedDict:
        source = trained if seed == 0 else Codec(seed)
        return OrderedDict((prefix + name, value) for name, value in source.state_dict().items())

    model = Codec(seed=2)
    report = load_weights(model, saved(tmp_path / "a.pth", average(state)))
    assert_loaded(model, trained)
    assert report.averages == (told,)


def test_a_model_with_a_part_called_ema_keeps_it(tmp_path):
    trained, model = Codec(inside="ema"), Codec(1, inside="ema")
    report = load_weights(model, saved(tmp_path / "a.pth", trained.state_dict()))
    assert_loaded(model, trained)
    assert report.averages == ()


@pytest.mark.parametrize("number", [np.float64(0.25), np.float32(1), np.int64(7), np.bool_(True)])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_number_of_numpy_beside_the_weights(number, zipped, trained, tmp_path):
    path = tmp_path / "a.pth.tar"
    torch.save({"state_dict": trained.state_dict(), "best_loss": number, "history": [number]}, path,
               _use_new_zipfile_serialization=zipped)
    model = Codec(seed=1)
    load_weights(model, read_weights(path))
    assert_loaded(model, trained)
    assert "numpy" not in str(torch.serialization.get_safe_globals())  # nothing stays allowed


@pytest.mark.parametrize("content", [np.ones(2), np.array(["a"], dtype=object), np.random.default_rng])
def test_other_things_of_numpy_are_still_refused(content, trained, tmp_path):
    with pytest.raises(CheckpointError, match="would run code when unpickled"):
        saved(tmp_path / "a.pth", {"state_dict": trained.state_dict(), "x": content})


def test_a_mismatch_says_the_prefix_and_the_first_names(trained, tmp_path):
    weights = saved(tmp_path / "a.pth", {f"student.net.{name}": v for name, v in trained.state_dict().items()})
    for check in (load_weights, compare_names):
        with pytest.raises(CheckpointError, match=r"missing: g_a\.0\.weight, .*unexpected: student\.net\.g_a\.0\."
                                                  r"weight, .*all names of the file begin with 'student\.net\.'"):
            check(Codec(), weights, "a.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_names_and_shapes_are_compared_without_values(suffix, trained, tmp_path):
    import safetensors.torch

    path, state = tmp_path / f"a{suffix}", dict(trained.state_dict())
    for shape, told in (((3, 4, 1, 1), None), ((3, 5, 1, 1), r"of another shape: g_s.weight \(3, 5, 1, 1\)")):
        state["g_s.weight"] = torch.zeros(shape)
        safetensors.torch.save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
        weights = read_weights(path, shapes_only=True)
        assert all(value.is_meta for value in weights.values())
        if told is None:
            compare_names(Codec(), weights)
        else:
            with pytest.raises(CheckpointError, match=told):
                compare_names(Codec(), weights)


@pytest.mark.parametrize(("reach", "spans"), [(40_000, "80001"), (1e12, r"\d{13}"), (3e38, r"\d{39}")])
def test_untrained_quantiles_are_refused_before_tables_are_built(reach, spans):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bottleneck = EntropyBottleneck(2)

        def update(self, force: bool = False) -> bool:
            return self.bottleneck.update(force)

    model = Model()
    use_tables(model)
    assert model.bottleneck._cdf_length.tolist() == [23, 23]  # 10 on both sides: 21 symbols, the escape, and the end
    with torch.no_grad():
        model.bottleneck.quantiles[0, 0] = torch.tensor([-reach, 0, reach])
    with pytest.raises(CheckpointError, match=f"channel 0 of bottleneck spans {spans} symbols"):
        use_tables(model)


def test_a_tensor_that_announces_terabytes_is_not_looked_at(trained, tmp_path):
    weights = saved(tmp_path / "a.pth", {**trained.state_dict(), "g_s.weight": torch.ones(1).expand(10**6, 10**6)})
    with pytest.raises(CheckpointError, match=r"of another shape: g_s.weight \(1000000, 1000000\)"):
        load_weights(Codec(1), weights)

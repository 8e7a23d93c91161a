"""Which parts learn when: parts that start frozen, and those of a scale that has converged."""

import pytest
import torch
from training_samples import CROP, decoded, job, photographs  # noqa: F401 (fixtures)

from bench.training.trainer import Trainer


def test_unfrozen_parts_learn_when_it_is_their_turn(decoded, tmp_path):
    trainer = Trainer(job("balanced_phase4", steps=10, warmup=0), tmp_path / "run")
    names = {"h_a": 2, "h_s": 2, "means_hyper": 2, "y_spatial_prior_s3": 4}
    weights = {name: [value for key, value in trainer.model.named_parameters() if key.startswith(name)][-1]
               for name in names}
    start = {name: value.clone() for name, value in weights.items()}
    moved = {}
    for step in range(10):
        trainer._step(torch.rand(2, 3, CROP, CROP))
        for name, value in weights.items():
            if not torch.equal(value, start[name]):
                moved.setdefault(name, step)
    assert moved == names
    rates = {group["name"]: group["lr"] / trainer.job.learning_rate(9) for group in trainer.optimiser.param_groups}
    assert rates == pytest.approx({"g_a": 1, "g_s": 1, "h_a": 0.5, "h_s": 0.5, "context": 0.1, "entropy": 0.5})


def test_unfreezing_leaves_what_the_start_froze_as_it_is(tmp_path):
    def freeze(model):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(("g_a", "h_a.")))
        return {}

    trainer = Trainer(job("balanced_phase4", steps=8, warmup=0), tmp_path / "run", freeze)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    for _ in range(8):
        trainer._step(torch.rand(2, 3, CROP, CROP))
    moved = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved and not [name for name in moved if name.startswith(("g_a", "h_a."))]
    assert any(name.startswith("h_s") for name in moved)


def test_parts_of_a_converged_scale_stop_learning(tmp_path):
    trainer = Trainer(job("balanced_phase4", freeze_converged=True, scale_patience=1, unfreeze=(), steps=8),
                      tmp_path / "run")
    attention = {name: value for name, value in trainer.model.named_parameters() if name.startswith("attn_s")}
    for rates in ({"s1": 1.0, "s2": 1.0, "s3": 1.0}, {"s1": 1.0, "s2": 0.5, "s3": 0.5}):
        trainer.stopping.record({"loss": 1.0, "rates": rates})
    before = {name: value.clone() for name, value in attention.items()}
    trainer._step(torch.rand(2, 3, CROP, CROP))
    moved = {name[:7] for name, value in attention.items() if not torch.equal(value, before[name])}
    assert moved == {"attn_s2", "attn_s3"}

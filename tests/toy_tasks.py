"""Quadratic tasks of the recorded figures, and cautious Adam and FAMO once more, in plain numpy, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

REFERENCE = json.loads((Path(__file__).parent / "reference" / "balanced.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["optimizer_cases"]}
TINY = 1e-8


class Quadratics:
    """L_k(x) = scale_k (mean_j a_kj (x_j - t_kj)² + offset_k), with the random numbers of a recorded case."""

    def __init__(self, case: dict[str, Any]) -> None:
        random = np.random.Generator(np.random.Philox(key=case["seed"]))
        self.start = random.standard_normal(case["n"])
        drawn = [(np.exp(0.5 * random.standard_normal(case["n"])), random.standard_normal(case["n"]))
                 for _ in case["scales"]]
        self.curvatures, self.targets = (np.stack(part) for part in zip(*drawn))
        self.scales, self.offsets = np.array(case["scales"]), np.array(case["offsets"])

    def losses(self, x: np.ndarray) -> np.ndarray:
        return self.scales * ((self.curvatures * (x - self.targets) ** 2).mean(1) + self.offsets)

    def gradients(self, x: np.ndarray) -> np.ndarray:
        """Of each task: (K, n)."""
        return self.scales[:, None] * 2 * self.curvatures * (x - self.targets) / len(x)

    def torch_losses(self, parameters: list[Tensor]) -> Tensor:
        x = torch.cat([parameter.flatten() for parameter in parameters])
        curvatures, targets, scales, offsets = map(
            torch.from_numpy, (self.curvatures, self.targets, self.scales, self.offsets))
        return scales * ((curvatures * (x - targets) ** 2).mean(1) + offsets)


def cut(x: np.ndarray, shapes: list[list[int]]) -> list[np.ndarray]:
    """A vector as arrays of the given shapes, in order."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(x, ends[:-1]), shapes)]


def parameters_of(x: np.ndarray, shapes: list[list[int]]) -> list[Tensor]:
    return [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in cut(x, shapes)]


def flat(tensors: list[Tensor]) -> np.ndarray:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).numpy()


def clipped(gradient: np.ndarray, clips: list[float]) -> np.ndarray:
    for largest in clips:
        gradient = gradient * min(1.0, largest / (np.sqrt((gradient**2).sum()) + 1e-6))
    return gradient


class CautiousAdamByHand:
    """One tensor, written from the definition: moments, mask of agreement, mask over its mean."""

    def __init__(self, lr, betas=(0.9, 0.999), eps=1e-8) -> None:
        self.lr, self.betas, self.eps = lr, betas, eps
        self.t, self.first, self.second = 0, 0.0, 0.0

    def step(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        beta1, beta2 = self.betas
        self.t += 1
        self.first = beta1 * self.first + (1 - beta1) * gradient
        self.second = beta2 * self.second + (1 - beta2) * gradient**2
        mask = np.where(self.first * gradient > 0, 1.0, 0.0)
        mask = mask * min(10.0, 1 / max(0.001, mask.mean()))
        moved = self.first / (1 - beta1**self.t) / (np.sqrt(self.second) / np.sqrt(1 - beta2**self.t) + self.eps)
        return x - self.lr * mask * moved


class FamoByHand:
    """Weights of K tasks, written from the definition, without checks."""

    def __init__(self, tasks, gammas, lr, minimum, modulation=None, from_unmodulated=False) -> None:
        self.w, self.first, self.second, self.t = np.zeros(tasks), 0.0, 0.0, 0
        self.gammas, self.lr, self.minimum = np.array(gammas), lr, np.array(minimum)
        self.modulation = np.ones(tasks) if modulation is None else np.array(modulation)
        self.from_unmodulated = from_unmodulated

    @property
    def z(self) -> np.ndarray:
        return np.exp(self.w) / np.exp(self.w).sum()

    def pulls(self, losses: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective, and the factor of each task's gradient in its gradient."""
        distances = losses - self.minimum + TINY
        q = self.z * self.modulation / (self.z * self.modulation).sum()
        c = ((self.z if self.from_unmodulated else q) / distances).sum()
        return (q * np.log(distances)).sum() / c, q / distances / c

    def update(self, before: np.ndarray, after: np.ndarray) -> None:
        z = self.z
        gained = np.log(before - self.minimum + TINY) - np.log(after - self.minimum + TINY)
        # d ln-gain weighted by z, through the softmax: its Jacobian is diag(z) - z zᵀ.
        gradient = (np.diag(z) - np.outer(z, z)) @ gained + self.gammas * self.w
        self.t += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        self.w = self.w - self.lr * (self.first / (1 - 0.9**self.t)) / (
            np.sqrt(self.second / (1 - 0.999**self.t)) + 1e-8)


def agrees(ours: Any, recorded: Any, tolerance: float = 1e-10) -> None:
    """Recorded null is not finite."""
    recorded = np.array(recorded, dtype=np.float64)
    np.testing.assert_allclose(np.asarray(ours, dtype=np.float64), recorded, rtol=0, atol=tolerance)

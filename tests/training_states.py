"""States of trainings compared bit by bit, and their logs without times."""

import torch
from training_samples import logged_lines


def lines(folder, kind=None):
    """The log without its times."""
    found = [line for line in logged_lines(folder) if kind in (None, line["kind"])]
    return [{key: value for key, value in line.items() if key != "elapsed_s"} for line in found]


def same(first, second):
    """Whether two states are equal, tensors bit by bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def same_weights(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))

"""Cautious Adam: recorded figures, and a second program."""

import numpy as np
import pytest
import torch

from bench.training.optimise.cautious_adam import CautiousAdam
from tests.toy_tasks import CASES, CautiousAdamByHand, Quadratics, agrees, flat, parameters_of


@pytest.mark.parametrize("name", ["cautious_adam_alone", "adam_switch"])
def test_recorded_runs_of_one_sum(name):
    case = CASES[name]
    toy, hyper = Quadratics(case), case["hyper"]
    parameters = parameters_of(toy.start, case["shapes"])
    options = {"lr": hyper["lr"], "betas": hyper["betas"], "eps": hyper["eps"]}
    if case["kind"] == "adam":
        optimiser = torch.optim.Adam(parameters, **options)
    else:
        optimiser = CautiousAdam(parameters, **options)
    assert not case["clips"]
    for step in range(1, case["steps"] + 1):
        optimiser.zero_grad()
        losses = toy.torch_losses(parameters)
        losses.sum().backward()
        gradient = flat([parameter.grad for parameter in parameters])
        optimiser.step()
        if recorded := case["after_step"].get(str(step)):
            agrees(losses.detach(), recorded["losses_before"])
            agrees(losses.sum().item(), recorded["objective"])
            agrees(gradient, recorded["gradient_used"])
            agrees(flat(parameters), recorded["x"])
            agrees(toy.torch_losses(parameters).detach(), recorded["losses_after"])
    for name in ("exp_avg", "exp_avg_sq"):
        agrees(flat([optimiser.state[parameter][name] for parameter in parameters]), recorded[name])


@pytest.mark.parametrize("options", [
    {"lr": 0.01},
    {"lr": 0.1, "betas": (0.5, 0.9)},
    {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-3},
])
def test_a_second_program_agrees(options):
    random = np.random.default_rng(3)
    shapes = [[3, 4], [5], [2, 1, 3], [1]]
    arrays = [random.standard_normal(shape) for shape in shapes]
    parameters = [torch.tensor(array, requires_grad=True) for array in arrays]
    optimiser = CautiousAdam(parameters, **options)
    by_hand = [CautiousAdamByHand(**options) for _ in shapes]
    for step in range(60):
        for i, parameter in enumerate(parameters):
            gradient = random.standard_normal(shapes[i]) * 0.9**step
            gradient[random.random(shapes[i]) < (0.95 if i == 0 else 0.3)] = 0.0  # one mask mean below a tenth
            parameter.grad = torch.tensor(gradient)
            arrays[i] = by_hand[i].step(arrays[i], gradient)
        optimiser.step()
        for parameter, array in zip(parameters, arrays):
            agrees(parameter.detach(), array, 1e-12)


def test_groups_have_their_own_options_and_parameters_without_gradient_stay():
    starts = [np.array([1.0, -2.0]), np.array([0.5]), np.array([3.0])]
    first, second, idle = (torch.tensor(start, requires_grad=True) for start in starts)
    optimiser = CautiousAdam([{"params": [first], "lr": 0.3}, {"params": [second, idle]}], lr=0.01)
    first.grad, second.grad = torch.tensor([0.4, -3.0]).double(), torch.tensor([7.0]).double()
    optimiser.step()
    # Adam's first step is lr against the sign of the gradient.
    agrees(first.detach(), [0.7, -1.7], 1e-7)
    agrees(second.detach(), [0.49], 1e-7)
    assert idle.item() == 3.0 and idle not in optimiser.state


def test_zero_gradients_scale_the_others_up():
    x = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = CautiousAdam([x], lr=0.1)
    x.grad = torch.tensor([1.0, 0, 0, 0]).double()
    optimiser.step()
    agrees(x.detach(), [-0.4, 0, 0, 0], 1e-7)


def test_entries_whose_momentum_disagrees_stay():
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimiser = CautiousAdam([x], lr=0.1)
    for gradient in ([1.0, 1.0], [-0.5, 1.0]):
        before = x.detach().clone()
        x.grad = torch.tensor(gradient).double()
        optimiser.step()
    assert x[0].item() == before[0].item() and x[1].item() < before[1].item()


def test_saved_state_goes_on_exactly():
    case = CASES["cautious_adam_alone"]
    toy = Quadratics(case)

    def steps(parameters, optimiser, number):
        for _ in range(number):
            optimiser.zero_grad()
            toy.torch_losses(parameters).sum().backward()
            optimiser.step()

    whole, halves = (parameters_of(toy.start, [[4], [2, 3]]) for _ in range(2))
    steps(whole, CautiousAdam(whole), 9)
    first = CautiousAdam(halves)
    steps(halves, first, 4)
    second = CautiousAdam(halves)
    second.load_state_dict(first.state_dict())
    steps(halves, second, 5)
    assert np.array_equal(flat(whole), flat(halves))

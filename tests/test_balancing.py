"""Balancing of tasks: recorded figures, a second program, recorded faults, and what it does to the trade-off."""

import numpy as np
import pytest
import torch
from torch import nn

from bench.common.errors import ConfigurationError
from bench.training.balance.balancing import LossBelowMinimum, TaskBalancer
from bench.training.optimise.cautious_adam import CautiousAdam
from tests.toy_tasks import (
    CASES,
    REFERENCE,
    CautiousAdamByHand,
    FamoByHand,
    Quadratics,
    agrees,
    clipped,
    cut,
    flat,
    parameters_of,
)

REPAIR = REFERENCE["proposed_repair_cases"][0]


def make_balancer(tasks, *arguments, minimum=-1.0, **options):
    """A balancer with minima of its own, as recorded cases have; all trainings have -1."""
    balancer = TaskBalancer(tasks, *arguments, **options)
    balancer.minimum = torch.as_tensor(minimum, dtype=torch.float64)
    return balancer


def balancing_of(case):
    """Options of a balancer, by the names of a recorded case."""
    hyper = case["hyper"]
    number = len(case["scales"])
    if case["kind"] == "balanced":
        return {"gammas": hyper["gamma"], "learning_rate": hyper["w_lr"], "minimum": hyper["min_losses"]}
    spread = [0, 0, 1, 1, 2]  # tasks of s1, s1, s2, s2, s3
    assert number == len(spread)
    gammas = [hyper[f"gamma_s{k}"] for k in (1, 2, 3)]
    return {"gammas": [gammas[k] for k in spread], "learning_rate": hyper["w_lr"], "minimum": hyper["min_losses"],
            "modulation": [hyper["scale_weights"][k] for k in spread]}


def names(number):
    return [f"task{k}" for k in range(number)]


def logits(balancer):
    return balancer.state_dict()["logits"]


def run(case, balancer, stale=False, steps=None):
    """Yield, after each step, what is recorded of it: the product's parts in the recorded order of calls."""
    toy, hyper = Quadratics(case), case["hyper"]
    parameters = parameters_of(toy.start, case["shapes"])
    optimiser = CautiousAdam(parameters, hyper["lr"], hyper["betas"], hyper["eps"])
    for _ in range(steps or case["steps"]):
        optimiser.zero_grad()
        losses = toy.torch_losses(parameters)
        objective = balancer.objective(losses)
        objective.backward()
        norm = np.linalg.norm(flat([parameter.grad for parameter in parameters]))
        for largest in case["clips"]:
            nn.utils.clip_grad_norm_(parameters, largest)
        gradient = flat([parameter.grad for parameter in parameters])
        optimiser.step()
        after = toy.torch_losses(parameters)
        balancer.update(losses if stale else after)
        yield {"losses_before": losses.detach(), "objective": objective.item(), "grad_norm_before_clipping": norm,
               "gradient_used": gradient, "x": flat(parameters), "losses_after": after.detach(),
               "logits": balancer.state_dict()["logits"], "task_weights": balancer.weights(),
               **{moment: flat([optimiser.state[parameter][moment] for parameter in parameters])
                  for moment in ("exp_avg", "exp_avg_sq")}}


def run_by_hand(case, famo, stale=False, first_minimum=False):
    """Yield the same, from plain numpy alone."""
    toy, hyper = Quadratics(case), case["hyper"]
    parts = cut(toy.start, case["shapes"])
    adams = [CautiousAdamByHand(hyper["lr"], hyper["betas"], hyper["eps"]) for _ in parts]
    for step in range(case["steps"]):
        x = np.concatenate([part.ravel() for part in parts])
        before = toy.losses(x)
        if first_minimum and step == 0:
            famo.minimum = before
        objective, pulls = famo.pulls(before)
        gradient = pulls @ toy.gradients(x)
        used = clipped(gradient, case["clips"])
        parts = [adam.step(*both) for adam, both in zip(adams, zip(parts, cut(used, case["shapes"])))]
        x = np.concatenate([part.ravel() for part in parts])
        after = toy.losses(x)
        famo.update(before, before if stale else after)
        yield {"losses_before": before, "objective": objective, "grad_norm_before_clipping": np.linalg.norm(gradient),
               "gradient_used": used, "x": x, "losses_after": after, "logits": famo.w, "task_weights": famo.z,
               "exp_avg": np.concatenate([adam.first.ravel() for adam in adams]),
               "exp_avg_sq": np.concatenate([adam.second.ravel() for adam in adams])}


def compare(case, run):
    compared = 0
    for step, found in enumerate(run, 1):
        for name, figures in case["after_step"].get(str(step), {}).items():
            agrees(found[name], figures)
            compared += 1
    assert compared >= 4 * 8  # four recorded steps of eight figures


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["kind"] == "balanced"
                                  and not case["hyper"]["amsgrad"]])
def test_recorded_runs(name):
    case = CASES[name]
    compare(case, run(case, make_balancer(names(len(case["scales"])), **balancing_of(case))))


@pytest.mark.parametrize("name", [
    "hierarchical_fresh_update", "hierarchical_other_weights", "hierarchical_as_written_stale_update",
])
def test_recorded_runs_with_the_published_normaliser(name):
    """c = Σ z/D whatever the modulation is a fault: plain numpy reproduces it, and ours give other figures."""
    case, options = CASES[name], balancing_of(CASES[name])
    famo = FamoByHand(5, options["gammas"], options["learning_rate"], options["minimum"], options["modulation"], True)
    compare(case, run_by_hand(case, famo, stale=case.get("stale", False)))
    with pytest.raises(AssertionError):
        compare(case, run(case, make_balancer(names(5), **options), stale=case.get("stale", False)))


def test_recorded_run_with_the_repaired_normaliser():
    case = CASES[REPAIR["like"]]
    *_, last = run(case, make_balancer(names(5), **balancing_of(case)))
    for name in ("x", "logits", "task_weights"):
        agrees(last[name], REPAIR[f"{name}_after_20"])


def test_updating_with_losses_before_the_step_learns_nothing():
    """The published order of phase 3: the logits stay exactly 0; with losses after the step they move at once."""
    case = CASES["hierarchical_as_written_stale_update"]
    balancer = make_balancer(names(5), **balancing_of(case))
    assert all(not step["logits"].any() for step in run(case, balancer, stale=True))
    balancer = make_balancer(names(5), **balancing_of(case))
    assert next(run(case, balancer))["logits"].abs().min() > 0.02


def test_a_minimum_from_the_first_batch_is_refused():
    """As published it ends in NaN from step 3, which plain numpy reproduces; here it is refused at once."""
    case = CASES["hierarchical_as_written_first_batch_minimum"]
    famo = FamoByHand(5, balancing_of(case)["gammas"], 0.025, np.zeros(5), balancing_of(case)["modulation"], True)
    with np.errstate(invalid="ignore"):
        steps = list(run_by_hand(case, famo, stale=True, first_minimum=True))
    compare(case, steps)
    finite = [np.isfinite(step["x"]).all() for step in steps]
    assert finite.index(False) + 1 == case["first_nonfinite_step"] == 3
    first = Quadratics(case).losses(Quadratics(case).start)
    balancer = make_balancer(names(5), **{**balancing_of(case), "minimum": first})
    with pytest.raises(LossBelowMinimum, match=r"task0 3\.8286"):
        next(run(case, balancer))


@pytest.mark.parametrize("changes", [
    {},
    {"n": 9, "shapes": [[2, 2], [5]], "clips": [0.3]},
    {"scales": [2.0, 0.5, 1.0, 0.1], "offsets": [0.1, 0.2, 0.3, 0.0], "gammas": [0.1, 0.0, 0.3, 0.02]},
    {"scales": [9.0, 0.2, 0.3, 0.4, 0.1], "offsets": [0.1, 0.2, 0.3, 0.0, 0.4], "clips": [1.0],
     "gammas": [0.1, 0.0, 0.3, 0.02, 0.5], "modulation": [1.0, 0.3, 0.4, 0.3, 0.7],
     "minimum": [-1.0, -0.5, -1.0, -2.0, -0.1]},
])
def test_a_second_program_agrees(changes):
    case = {"seed": 101, "n": 10, "shapes": [[10]], "scales": [3.0, 0.4], "offsets": [0.05, 0.3], "steps": 40,
            "clips": [], "kind": "balanced", **changes}
    case["hyper"] = {"lr": 0.03, "betas": (0.8, 0.99), "eps": 1e-8}
    number = len(case["scales"])
    gammas, minimum = changes.get("gammas", 0.01), changes.get("minimum", [-1.0] * number)
    modulation = changes.get("modulation")
    balancer = make_balancer(names(number), gammas, 0.05, modulation, minimum=minimum)
    famo = FamoByHand(number, gammas, 0.05, minimum, modulation)
    for ours, by_hand in zip(run(case, balancer), run_by_hand(case, famo)):
        for name, value in by_hand.items():
            agrees(ours[name], value, 1e-12)


@pytest.mark.parametrize("modulation", [None, [0.2, 0.9, 0.4]])
def test_the_gradient_is_a_convex_combination_by_definition_of_j(modulation):
    """Against autograd through Σ q ln(D) / c with c held constant, for weights that have moved."""
    balancer = TaskBalancer(names(3), 0.01, 0.5, modulation)
    balancer.objective(torch.tensor([3.0, 0.5, 1.0]))
    balancer.update(torch.tensor([2.0, 0.6, 0.9]))
    losses = torch.tensor([2.5, 0.4, 0.9], dtype=torch.float64, requires_grad=True)
    (ours,) = torch.autograd.grad(balancer.objective(losses), losses)
    q = balancer.weights() * torch.tensor(modulation or [1.0, 1.0, 1.0], dtype=torch.float64)
    q = q / q.sum()
    c = (q / (losses.detach() + 1 + 1e-8)).sum()
    (expected,) = torch.autograd.grad((q * (losses + 1 + 1e-8).log()).sum() / c, losses)
    agrees(ours, expected, 1e-14)
    agrees(ours.sum(), 1.0, 1e-14)


def test_an_unmodulated_normaliser_would_give_weights_that_do_not_add_up():
    """As published; so q is normalised before."""
    _, pulls = FamoByHand(2, [0.0, 0.0], 0.1, [-1.0, -1.0], [0.1, 0.9], from_unmodulated=True).pulls(
        np.array([3.0, 0.5]))
    assert abs(pulls.sum() - 1) > 0.1


def descended(lambda_, minimum, learning_rate=0.0, steps=800):
    """Gradient descent of distortion λ (x² + 0.1) and rate (x - 1)² + 0.1; returns x and the multiplier in use.

    The sum is lowest at x = 1 / (1 + multiplier).
    """
    balancer = make_balancer(["distortion", "rate"], 0.05, learning_rate, minimum=minimum)
    x = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def losses():
        return torch.stack([lambda_ * (x**2 + 0.1), (x - 1) ** 2 + 0.1])

    for _ in range(steps):
        (gradient,) = torch.autograd.grad(balancer.objective(losses()), x)
        with torch.no_grad():
            x -= 0.1 * gradient / lambda_
        balancer.update(losses().detach())
    last = losses().detach().requires_grad_()
    (pulls,) = torch.autograd.grad(balancer.objective(last), last)
    return x.item(), (lambda_ * pulls[0] / pulls[1]).item()


def lowest(lambda_, minimum):
    """Where ln(D - m) + ln(R - m) is lowest: a root of its derivative's numerator."""
    distortion = np.polynomial.Polynomial([0.1 * lambda_, 0, lambda_])
    rate = np.polynomial.Polynomial([1.1, -2, 1])
    slope = distortion.deriv() * (rate - minimum) + rate.deriv() * (distortion - minimum)
    roots = [root.real for root in slope.roots() if abs(root.imag) < 1e-9]
    return min(roots, key=lambda x: np.log(distortion(x) - minimum) + np.log(rate(x) - minimum))


@pytest.mark.parametrize("lambda_", [2.0, 5.0])
def test_equal_weights_descend_to_the_analytic_optimum(lambda_):
    """Not to that of D + R, 1 / (1 + λ), but to that of the multiplier λ p_D / p_R, which differs."""
    x, multiplier = descended(lambda_, -1.0)
    agrees(x, lowest(lambda_, -1.0), 1e-6)
    agrees(x, 1 / (1 + multiplier), 1e-6)
    assert abs(x - 1 / (1 + lambda_)) > 0.01


def test_with_a_minimum_of_0_lambda_has_no_influence():
    without = [descended(lambda_, 0.0)[0] for lambda_ in (2.0, 5.0)]
    agrees(without[0], without[1], 1e-6)
    agrees(without[0], lowest(2.0, 0.0), 1e-6)
    with_one = [descended(lambda_, -1.0)[0] for lambda_ in (2.0, 5.0)]
    assert with_one[0] - with_one[1] > 0.02  # a larger λ: nearer to the lowest distortion


def test_learnt_weights_end_at_the_optimum_of_their_multiplier():
    x, multiplier = descended(2.0, -1.0, learning_rate=1e-3, steps=2000)
    agrees(x, 1 / (1 + multiplier), 1e-3)


def test_a_task_that_improves_fast_loses_weight():
    balancer = TaskBalancer(["fast", "slow"])
    balancer.objective(torch.tensor([2.0, 2.0]))
    balancer.update(torch.tensor([1.5, 1.9]))
    agrees(logits(balancer), [-0.025, 0.025], 1e-6)  # Adam's first step


def test_processes_that_know_the_mean_equal_one_process():
    """Gradients averaged over two processes are those of the joint batch, and so are the weights."""
    random = torch.Generator().manual_seed(0)
    crops = torch.rand(2, 6, 3, generator=random, dtype=torch.float64)
    x = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64, requires_grad=True)

    def losses(part):
        return torch.stack([(part @ x - 1).square().mean(), (part * x).square().sum(1).mean()])

    joint, *several = (TaskBalancer(names(2), 0.01, 0.1) for _ in range(3))
    for shift in (0.0, 0.5, -0.2):
        halves = [losses(part + shift) for part in crops]
        mean = sum(halves).detach() / 2
        whole = joint.objective(losses(crops.flatten(0, 1) + shift))
        parts = [balancer.objective(half, mean) for balancer, half in zip(several, halves)]
        agrees([part.item() for part in parts], [whole.item()] * 2, 1e-12)
        (expected,) = torch.autograd.grad(whole, x)
        agrees(torch.autograd.grad(sum(parts) / 2, x)[0], expected, 1e-12)
        for balancer in (joint, *several):
            balancer.update(mean * 0.9 - 0.01)
        assert torch.equal(several[0].weights(), several[1].weights())
        agrees(several[0].weights(), joint.weights(), 1e-12)


def test_saved_state_goes_on_exactly():
    random = np.random.default_rng(1)
    pairs = torch.from_numpy(random.uniform(0.1, 2, (12, 2, 3)))
    whole, first, second = (TaskBalancer(names(3), 0.02, 0.1, modulation=[1, 2, 3]) for _ in range(3))
    for number, (before, after) in enumerate(pairs):
        if number == 5:
            second.load_state_dict(first.state_dict())
            first = second
        for balancer in (whole, first):
            balancer.gammas = 0.02 * (number + 1)
            balancer.objective(before)
            balancer.update(after)
    assert torch.equal(logits(whole), logits(first))
    assert logits(whole).abs().max() > 0.1


def test_a_state_between_objective_and_update_holds_the_losses():
    first, second = TaskBalancer(names(2)), TaskBalancer(names(2))
    first.objective(torch.tensor([1.0, 2.0]))
    second.load_state_dict(first.state_dict())
    for balancer in (first, second):
        balancer.update(torch.tensor([0.5, 1.9]))
    assert logits(first).any() and torch.equal(logits(first), logits(second))


def test_nothing_is_learnt_before_the_first_objective():
    balancer = TaskBalancer(names(2))
    balancer.update(torch.tensor([0.5, 0.7]))
    assert not logits(balancer).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_losses_that_are_not_finite_spoil_no_weight(bad):
    balancer = TaskBalancer(names(2))
    losses = torch.tensor([bad, 1.0], requires_grad=True)
    objective = balancer.objective(losses)
    objective.backward()
    assert objective.isnan() and losses.grad.isnan().all()
    balancer.update(torch.tensor([1.0, 1.0]))
    balancer.objective(torch.tensor([2.0, 1.0]))
    balancer.update(torch.tensor([bad, 0.9]))
    assert not logits(balancer).any()


def test_losses_below_the_minimum_are_named():
    balancer = make_balancer(["distortion", "rate"], minimum=[-1.0, 0.0])
    with pytest.raises(LossBelowMinimum, match="rate 0$") as error:
        balancer.objective(torch.tensor([0.5, 0.0]))
    assert "distortion 0.5" not in str(error.value)
    balancer.objective(torch.tensor([0.5, 0.1]))
    with pytest.raises(LossBelowMinimum):
        balancer.update(torch.tensor([-1.5, 0.1]))
    assert not logits(balancer).any()


@pytest.mark.parametrize("options", [
    {"gammas": -0.1}, {"gammas": [0.1] * 3}, {"modulation": [1.0, -0.5]},
    {"modulation": [0.0, 0.0]},
])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        TaskBalancer(**{"tasks": names(2), **options})

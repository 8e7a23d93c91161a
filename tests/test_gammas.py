"""Schedules of γ: recorded figures, properties, and what scales with the length of a training."""

import math

import pytest

from bench.common.errors import ConfigurationError
from bench.training.balance.gammas import RATE_SCHEDULES, WARMUP, HierarchicalGammas, make_gamma_schedule
from bench.training.recipes import Recipe
from tests.toy_tasks import REFERENCE, agrees

FIGURES = REFERENCE["gamma_schedules"]
PHASE2 = [(case, name) for case in ("class_defaults", "hpcm") for name in FIGURES["phase2"][case]["values"]]
PHASE3 = FIGURES["phase3"]["defaults_total_3000"]
OTHERS = 0.003  # γ of distortion and z beside the scales'


def loss_of(epoch):
    """The losses that the recorded figures were made with."""
    return 0.5 + math.exp(-epoch / 150) + (0.08 if epoch < 600 else 0.001) * math.sin(0.7 * epoch)


def rates_of(s1, s2, s3):
    return {"rates": {"s1": s1, "s2": s2, "s3": s3, "z": 1.0}}


def two_tasks(name, total=3000, first=0.006, last=0.001):
    return RATE_SCHEDULES.get(name)(total, (first, first), (last, last), WARMUP)


def five_tasks(name, total=3000, scales=(0.008, 0.006, 0.004)):
    return make_gamma_schedule(Recipe(tasks="scales", gammas=(OTHERS, *scales, OTHERS), gamma_schedule=name), total)


@pytest.mark.parametrize(("case", "name"), PHASE2)
def test_recorded_gammas(case, name):
    figures = FIGURES["phase2"][case]["values"][name]
    schedule = two_tasks(name, last=0.0005 if name == "hpcm" else 0.001)
    values = {}
    for epoch in range(3501):
        if epoch >= 100:
            schedule.record({"loss": loss_of(epoch)})
        values[epoch] = schedule.values(epoch)
    for task in (0, 1):
        agrees([values[int(epoch)][task] for epoch in figures], list(figures.values()))
    assert len(figures) == len(FIGURES["epochs"])


class ExtrapolatedGammas(HierarchicalGammas):
    """As published: γ goes on along the last line."""

    def values(self, step):
        if step < 2500 * self.total / 3000:
            return super().values(step)
        (start, low), (end, high) = self.breakpoints[-2:]
        share = (step * 3000 / self.total - start) / (end - start)
        return tuple(gamma * (a + (b - a) * share) for gamma, a, b in zip(self.first, low, high))


def published_hierarchical():
    ours = five_tasks("hierarchical")
    return ExtrapolatedGammas(ours.total, ours.first, ours.last)


@pytest.mark.parametrize("name", PHASE3["values"])
def test_recorded_gammas_of_scales(name):
    """The hierarchical one goes on past its last breakpoint as published, where ours stays."""
    assert tuple(PHASE3["initial_gammas"].values()) == (0.008, 0.006, 0.004)
    schedule = published_hierarchical() if name == "hierarchical" else five_tasks(name)
    values = {}
    for epoch in range(3501):
        values[epoch] = schedule.values(epoch)
        schedule.record(rates_of(loss_of(epoch), 0.5 * loss_of(epoch) + 2, loss_of(epoch + 200)))
    figures = PHASE3["values"][name]
    agrees([values[int(epoch)][1:4] for epoch in figures], list(figures.values()))
    agrees([values[int(epoch)][task] for epoch in figures for task in (0, 4)], [OTHERS] * 2 * len(figures))


def test_published_hierarchical_gammas_turn_negative_and_ours_do_not():
    """s1 crosses 0 at 3000 + 500 * 0.5 / 0.2 = 4250, s2 at 3000 + 500 * 0.5 / 0.3 = 3833.3."""
    published = published_hierarchical()
    signs = [tuple(gamma > 1e-12 for gamma in published.values(epoch)[1:3]) for epoch in (3833, 3834, 4249, 4250)]
    assert signs == [(True, True), (True, False), (True, False), (False, False)]
    for epoch in (3000, 3500, 10_000):
        agrees(five_tasks("hierarchical").values(epoch)[1:4], (0.5 * 0.008, 0.5 * 0.006, 1.3 * 0.004), 1e-15)


@pytest.mark.parametrize("name", ["linear", "cosine", "step", "hpcm"])
def test_a_short_training_has_the_same_gammas_at_the_same_share_of_it(name):
    """Published warm-ups of 100 epochs never end in a training of 50."""
    whole, short = two_tasks(name), two_tasks(name, 50)
    for epoch in range(0, 3100, 7):
        agrees(short.values(epoch / 60), whole.values(epoch), 1e-12)
    assert short.values(50)[0] < 0.3 * short.values(0)[0]


@pytest.mark.parametrize("name", ["fixed", "linear", "cosine", "hierarchical"])
def test_scales_of_a_short_training_too(name):
    whole, short = five_tasks(name), five_tasks(name, 50)
    for epoch in range(0, 3100, 7):
        agrees(short.values(epoch / 60), whole.values(epoch), 1e-12)


def test_linear_and_cosine_by_their_middle_and_symmetry():
    for name in ("linear", "cosine"):
        schedule = two_tasks(name, 3000, 0.8, 0.2)
        assert schedule.values(0) == schedule.values(100) == (0.8, 0.8)
        agrees(schedule.values(1550), [0.5, 0.5], 1e-12)
        agrees(schedule.values(500)[0] + schedule.values(2600)[0], 1.0, 1e-12)
        agrees([schedule.values(3000)[0], schedule.values(5000)[0]], [0.2, 0.2], 1e-12)


def test_step_stops_at_the_last_gamma():
    schedule = two_tasks("step", 3000, 0.8, 0.3)
    assert [schedule.values(epoch)[0] for epoch in (999.9, 1000, 2000, 2600)] == [0.8, 0.4, 0.3, 0.3]


def shortened(schedule, window):
    schedule.window = window
    return schedule


def test_adaptive_follows_the_spread_of_its_window():
    """Losses a, b in turns spread by |a - b| / (a + b): 0.5 % calms, 3 % leaves, 10 % stirs."""
    for b, factor in ((1.01, 0.8), (1.06, 1.0), (1.22, 1.2)):
        schedule, cosine = shortened(two_tasks("adaptive", 100), 4), two_tasks("cosine", 100)
        for number in range(7):
            if number < 4:
                agrees(schedule.values(40), cosine.values(40), 1e-15)
            schedule.record({"loss": (1.0, b)[number % 2]})
        agrees(schedule.values(40), [factor * gamma for gamma in cosine.values(40)], 1e-15)


def test_adaptive_scales_follow_each_its_own_losses():
    schedule = shortened(five_tasks("adaptive", 100, (0.1, 0.2, 0.3)), 3)
    assert schedule.needs_rates and not five_tasks("cosine").needs_rates
    for number in range(5):  # two more than the window
        schedule.record(rates_of(1.0, 1 + 0.03 * number, 1 + number))
    # Spread of s2's last three: 0.03 / 1.06 and 0.03 / 1.09, between the two limits.
    agrees(schedule.values(5), (OTHERS, 0.1 * 0.95**2, 0.2, 0.3 * 1.02**2, OTHERS), 1e-12)
    for _ in range(100):
        schedule.record(rates_of(1.0, 1.0, 1.0))
    agrees(schedule.values(105)[1:4], (0.05, 0.1, 0.15), 1e-12)


@pytest.mark.parametrize(("make", "losses"), [
    (lambda: two_tasks("adaptive", 10), [{"loss": loss} for loss in (1.0, 1.3, 0.9, 1.1, 1.0, 1.3)]),
    (lambda: five_tasks("adaptive", 10), [rates_of(*rates) for rates in (
        (1.0, 2.0, 1.0), (1.5, 2.1, 1.0), (1.0, 2.2, 1.0), (1.0, 2.0, 1.1), (0.9, 2.0, 1.0))]),
])
def test_saved_state_goes_on_exactly(make, losses):
    whole, first, second = (shortened(make(), 3) for _ in range(3))
    untouched = whole.values(5)
    for number, loss in enumerate(losses):
        if number == 4:
            second.load_state_dict(first.state_dict())
            first = second
        whole.record(loss)
        first.record(loss)
        assert whole.values(5) == first.values(5)
    assert whole.values(5) != untouched


def test_recipes_give_the_first_gamma_and_a_share_of_it_at_last():
    of_two = make_gamma_schedule(Recipe(tasks="rate", gammas=0.01, gamma_schedule="cosine"), 600)
    agrees([of_two.values(0)[1], of_two.values(20)[1], of_two.values(600)[1]], [0.01, 0.01, 0.002], 1e-15)
    own = make_gamma_schedule(Recipe(tasks="rate", gammas=0.01, gamma_schedule="hpcm"), 600)
    assert (own.values(0)[0], own.values(600)[0]) == (0.006, 0.00075)
    one_for_all = make_gamma_schedule(Recipe(tasks="scales", gammas=0.01, gamma_schedule="linear"), 600)
    agrees(one_for_all.values(600), [0.01, 0.005, 0.005, 0.005, 0.01], 1e-15)


@pytest.mark.parametrize(("recipe", "message"), [
    (Recipe(tasks="rate", gamma_schedule="cosines"), "no schedule of gamma"),
    (Recipe(tasks="rate", gamma_schedule="hierarchical"), "no schedule of gamma"),
    (Recipe(tasks="scales", gamma_schedule="hpcm"), "no schedule of the scales' gammas"),
    (Recipe(tasks="rate", gammas=(0.1, 0.2), gamma_schedule="linear"), "of one gamma, not of 2"),
])
def test_impossible_schedules_are_refused(recipe, message):
    with pytest.raises(ConfigurationError, match=message):
        make_gamma_schedule(recipe, 100)

"""Schedules of γ: recorded figures, properties, and what scales with the length of a training."""

import math

import pytest

from bench.common.errors import ConfigurationError
from bench.training.balance.gammas import GAMMAS
from bench.training.balance.scale_gammas import SCALE_GAMMAS
from tests.toy_tasks import REFERENCE, agrees

FIGURES = REFERENCE["gamma_schedules"]
PHASE2 = [(case, name) for case, figures in FIGURES["phase2"].items() for name in figures["values"]]
PHASE3 = FIGURES["phase3"]["defaults_total_3000"]
# Published epochs do not scale with the total: they are given.
PUBLISHED = {"step": {"epochs": (1000, 2000, 2500)}, "hpcm": {"epochs": (500, 1500, 2750)}}


def loss_of(epoch):
    """The losses that the recorded figures were made with."""
    return 0.5 + math.exp(-epoch / 150) + (0.08 if epoch < 600 else 0.001) * math.sin(0.7 * epoch)


@pytest.mark.parametrize(("case", "name"), PHASE2)
def test_recorded_gammas(case, name):
    arguments, figures = FIGURES["phase2"][case]["arguments"], FIGURES["phase2"][case]["values"][name]
    given = {key.removesuffix("_gamma"): arguments[key] for key in ("initial_gamma", "final_gamma")
             if key in arguments}
    schedule = GAMMAS.get(name)(arguments["total_epochs"], warmup=100, **given, **PUBLISHED.get(name, {}))
    values = {}
    for epoch in range(3501):
        if epoch >= 100:
            schedule.record(loss_of(epoch))
        values[epoch] = schedule.value(epoch)
    agrees([values[int(epoch)] for epoch in figures], list(figures.values()))
    assert len(figures) == len(FIGURES["epochs"])


@pytest.mark.parametrize("name", PHASE3["values"])
def test_recorded_gammas_of_scales(name):
    """The hierarchical one goes on past its last breakpoint as published, which has to be asked for."""
    options = {"extrapolate": True} if name == "hierarchical" else {}
    schedule = SCALE_GAMMAS.get(name)(PHASE3["total_epochs"], tuple(PHASE3["initial_gammas"].values()), **options)
    values = {}
    for epoch in range(3501):
        values[epoch] = schedule.values(epoch)
        schedule.record((loss_of(epoch), 0.5 * loss_of(epoch) + 2, loss_of(epoch + 200)))
    figures = PHASE3["values"][name]
    agrees([values[int(epoch)] for epoch in figures], list(figures.values()))


def test_published_hierarchical_gammas_turn_negative_and_ours_do_not():
    """s1 crosses 0 at 3000 + 500 * 0.5 / 0.2 = 4250, s2 at 3000 + 500 * 0.5 / 0.3 = 3833.3."""
    published = SCALE_GAMMAS.get("hierarchical")(3000, extrapolate=True)
    signs = [(published.values(epoch)[0] > 1e-12, published.values(epoch)[1] > 1e-12)
             for epoch in (3833, 3834, 4249, 4250)]
    assert signs == [(True, True), (True, False), (True, False), (False, False)]
    ours = SCALE_GAMMAS.get("hierarchical")(3000)
    for epoch in (3000, 3500, 10_000):
        agrees(ours.values(epoch), (0.5 * 0.008, 0.5 * 0.006, 1.3 * 0.004), 1e-15)


@pytest.mark.parametrize("name", ["linear", "cosine", "step", "hpcm"])
def test_a_short_training_has_the_same_gammas_at_the_same_share_of_it(name):
    """Published warm-ups of 100 epochs never end in a training of 50."""
    whole, short = GAMMAS.get(name)(3000), GAMMAS.get(name)(50)
    for epoch in range(0, 3100, 7):
        agrees(short.value(epoch / 60), whole.value(epoch), 1e-12)
    assert short.value(50) < 0.3 * short.value(0)


@pytest.mark.parametrize("name", ["fixed", "linear", "cosine", "hierarchical"])
def test_scales_of_a_short_training_too(name):
    whole, short = SCALE_GAMMAS.get(name)(3000), SCALE_GAMMAS.get(name)(50)
    for epoch in range(0, 3100, 7):
        agrees(short.values(epoch / 60), whole.values(epoch), 1e-12)


def test_linear_and_cosine_by_their_middle_and_symmetry():
    for name in ("linear", "cosine"):
        schedule = GAMMAS.get(name)(100, 0.8, 0.2, warmup=20)
        assert schedule.value(0) == schedule.value(20) == 0.8
        agrees(schedule.value(60), 0.5, 1e-12)
        agrees(schedule.value(35) + schedule.value(85), 1.0, 1e-12)
        agrees([schedule.value(100), schedule.value(500)], [0.2, 0.2], 1e-12)


def test_step_stops_at_the_last_gamma():
    schedule = GAMMAS.get("step")(40, 0.8, 0.3, warmup=0, epochs=(10, 20, 30))
    assert [schedule.value(epoch) for epoch in (9.9, 10, 20, 35)] == [0.8, 0.4, 0.3, 0.3]


def test_adaptive_follows_the_spread_of_its_window():
    """Losses a, b in turns spread by |a - b| / (a + b): 0.5 % calms, 3 % leaves, 10 % stirs."""
    for b, factor in ((1.01, 0.8), (1.06, 1.0), (1.22, 1.2)):
        schedule, cosine = GAMMAS.get("adaptive")(100, window=4), GAMMAS.get("cosine")(100)
        for number in range(7):
            if number < 4:
                agrees(schedule.value(40), cosine.value(40), 1e-15)
            schedule.record((1.0, b)[number % 2])
        agrees(schedule.value(40), factor * cosine.value(40), 1e-15)


def test_adaptive_scales_follow_each_its_own_losses():
    schedule = SCALE_GAMMAS.get("adaptive")(100, (0.1, 0.2, 0.3), window=3)
    for number in range(5):  # two more than the window
        schedule.record((1.0, 1 + 0.03 * number, 1 + number))
    # Spread of s2's last three: 0.03 / 1.06 and 0.03 / 1.09, between the two limits.
    agrees(schedule.values(5), (0.1 * 0.95**2, 0.2, 0.3 * 1.02**2), 1e-12)
    for _ in range(100):
        schedule.record((1.0, 1.0, 1.0))
    agrees(schedule.values(105), (0.05, 0.1, 0.15), 1e-12)


@pytest.mark.parametrize(("registry", "losses"), [
    (GAMMAS, [1.0, 1.3, 0.9, 1.1, 1.0, 1.3]),
    (SCALE_GAMMAS, [(1.0, 2.0, 1.0), (1.5, 2.1, 1.0), (1.0, 2.2, 1.0), (1.0, 2.0, 1.1), (0.9, 2.0, 1.0)]),
])
def test_saved_state_goes_on_exactly(registry, losses):
    whole, first, second = (registry.get("adaptive")(10, window=3) for _ in range(3))
    of = (lambda schedule: schedule.value(5)) if registry is GAMMAS else (lambda schedule: schedule.values(5))
    untouched = of(whole)
    for number, loss in enumerate(losses):
        if number == 4:
            second.load_state_dict(first.state_dict())
            first = second
        whole.record(loss)
        first.record(loss)
        assert of(whole) == of(first)
    assert of(whole) != untouched


@pytest.mark.parametrize("build", [
    lambda: GAMMAS.get("cosine")(100, warmup=100), lambda: GAMMAS.get("linear")(100, warmup=-1),
    lambda: GAMMAS.get("linear")(0), lambda: GAMMAS.get("step")(100, initial=-0.1),
    lambda: GAMMAS.get("adaptive")(100, window=1), lambda: SCALE_GAMMAS.get("fixed")(100, (0.1, 0.2)),
    lambda: SCALE_GAMMAS.get("linear")(100, (0.1, 0.2, -0.1)), lambda: GAMMAS.get("cosines"),
])
def test_impossible_schedules_are_refused(build):
    with pytest.raises(ConfigurationError):
        build()

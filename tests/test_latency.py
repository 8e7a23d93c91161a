"""The timing protocol on synthetic workloads, and the state of the machine that goes with it."""

from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace

import pytest

from bench.runners.profile import machine_state
from bench.runners.profile.machine_state import OthersLoad, find_disturbances, read_state
from bench.runners.profile.protocol import Protocol, Turns
from bench.runners.progress import Progress


class FakeTime:
    """A clock that only moves when a function of it is called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def function(self, name: str, *seconds: float):
        """A function that takes the given times, one call after another, and then the last one for ever."""
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
        return call

    def timer(self, function):
        before = self.now
        return function(), self.now - before

    def turns(self, **functions: tuple[float, ...]) -> Turns[str]:
        made = {name: self.function(name, *seconds) for name, seconds in functions.items()}
        return Turns(made, self.timer, lambda: self.now)


def test_a_sleep_of_known_length_is_measured():
    samples = Turns({"sleep": partial(time.sleep, 0.05)}).measure(Protocol(repeats=4, warmup_s=0.04))["sleep"]
    assert len(samples.samples_s) == 4 and samples.warmup_s
    for seconds in samples.samples_s:
        assert 0.05 <= seconds < 0.5


def test_variants_take_turns():
    fake = FakeTime()
    fake.turns(a=(1,), b=(2,), c=(3,)).measure(Protocol(repeats=4, warmup_s=0))
    assert "".join(fake.calls) == "abc" + "abc" * 4  # a round to warm up, four that count


def test_each_call_is_a_sample_of_its_function():
    fake = FakeTime()
    samples = fake.turns(a=(9, 1, 2, 3), b=(7, 4, 5, 6)).measure(Protocol(repeats=3, warmup_s=0))
    assert samples["a"].samples_s == [1, 2, 3] and samples["b"].samples_s == [4, 5, 6]
    assert samples["a"].warmup_s == [9] and samples["b"].warmup_s == [7]


def test_warm_up_goes_on_until_medians_agree():
    fake = FakeTime()
    slow_start = tuple(2.0 ** -i for i in range(6)) + (0.01,)
    samples = fake.turns(steady=(0.01,), slow=slow_start).measure(Protocol(repeats=3, warmup_s=100))
    assert len(samples["steady"].warmup_s) == 6  # two windows of three
    assert len(samples["slow"].warmup_s) > 8
    assert samples["slow"].samples_s == pytest.approx([0.01] * 3)


@pytest.mark.parametrize(("protocol", "calls"), [
    (Protocol(repeats=1, warmup_s=2.5), 3), (Protocol(repeats=1, warmup_s=100, warmup_calls=5), 5)])
def test_warm_up_has_an_end_where_times_never_agree(protocol, calls):
    fake = FakeTime()
    restless = tuple(1.0 + 0.5 * (i % 2) + 0.1 * i for i in range(50))
    samples = fake.turns(restless=restless if protocol.warmup_calls == 5 else (1.0,)).measure(protocol)
    assert len(samples["restless"].warmup_s) == calls


def test_the_budget_ends_sampling_but_not_before_the_least_rounds():
    def rounds(budget_s: float) -> int:
        samples = FakeTime().turns(a=(1,), b=(1,)).measure(Protocol(10, budget_s, least=3, warmup_s=0))
        return len(samples["a"].samples_s)

    assert [rounds(budget_s) for budget_s in (0, 6, 9, 1000)] == [3, 3, 5, 10]


def test_a_function_that_fails_drops_out_and_the_others_go_on():
    fake, calls = FakeTime(), []

    def failing() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError("no room")

    turns = Turns({"bad": failing, "good": fake.function("good", 1)}, fake.timer, lambda: fake.now)
    samples = turns.measure(Protocol(repeats=5, warmup_s=0))
    assert isinstance(samples["bad"].failure, MemoryError) and len(calls) == 3
    assert len(samples["good"].samples_s) == 5 and samples["good"].failure is None


def test_time_left_follows_the_pace_of_the_run(capsys):
    now = [0.0]
    progress = Progress(1000, clock=lambda: now[0])
    for _ in range(50):
        progress.start_step("work", 10)
        now[0] += 20  # twice as long as expected
    assert progress.left_s() == pytest.approx(2 * 510, rel=0.05)
    assert "work" in capsys.readouterr().err


def test_a_running_step_shrinks_what_is_left_until_it_is_overdue():
    now = [0.0]
    progress = Progress(100, clock=lambda: now[0])
    progress.start_step("work", 60)
    left = []
    for now[0] in (0, 30, 50, 80, 160):
        left.append(progress.left_s())
    assert left[:3] == pytest.approx([100, 70, 52.5])
    assert left[3] == pytest.approx(40 + 20) and left[4] == pytest.approx(40 + 40)


def test_state_of_this_machine_is_json_data():
    state = read_state("cpu")
    assert "gpu" not in state and all(isinstance(value, (int, float, str)) for value in state.values())


def test_state_is_read_from_the_systems_files(tmp_path, monkeypatch):
    files = {"cpu0/cpufreq/scaling_governor": "powersave\n", "cpu0/thermal_throttle/core_throttle_count": "4\n",
             "cpu0/thermal_throttle/package_throttle_count": "3\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(machine_state, "CPUS", tmp_path)
    monkeypatch.setattr(machine_state.psutil, "cpu_freq", lambda: SimpleNamespace(current=2500.4))
    state = read_state("cpu")
    assert (state["governor"], state["cpu_mhz"], state["cpu_throttle_count"]) == ("powersave", 2500, 7)


def test_a_gpu_is_read_through_the_drivers_program(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    monkeypatch.setattr(machine_state.torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(machine_state.torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid="1"))
    told = "1980, 2619, 41, 123.4, 7, 0x0000000000000020, 570.10"
    program.write_text(f"""#!/bin/sh
[ $3 = --id=GPU-1 ] || exit 9  # torch's own, not the machine's first
case $1 in --query-gpu=*) echo '{told}';; *) printf '12\\n34\\n56\\n';; esac
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    gpu = read_state("cuda")["gpu"]
    assert gpu == {"sm_mhz": 1980, "memory_mhz": 2619, "celsius": 41, "watts": 123.4, "utilisation_percent": 7,
                   "throttle_reasons": 0x20, "driver": "570.10", "other_processes": 2}
    program.write_text("#!/bin/sh\nexit 9\n")
    assert "gpu" not in read_state("cuda")


def test_warnings_name_what_disturbed():
    assert find_disturbances({}, {}, None) == []
    calm = {"cpu_throttle_count": 3, "governor": "performance"}
    assert find_disturbances(calm, {"cpu_throttle_count": 3}, 0.05) == []
    found = find_disturbances({"cpu_throttle_count": 3, "governor": "powersave", "gpu": {"throttle_reasons": 1}},
                              {"cpu_throttle_count": 4, "gpu": {"throttle_reasons": 0x21, "other_processes": 2}}, 1.04)
    for text, part in zip(found, ("1.0 cores", "throttled", "powersave", "0x21", "other processes used the GPU"),
                          strict=True):
        assert part in text


def test_work_of_other_processes_is_told_from_ones_own(monkeypatch):
    machine = SimpleNamespace(user=0.0, nice=0.0, system=0.0, idle=500.0, iowait=0.0, irq=0.0, softirq=0.0)
    monkeypatch.setattr(machine_state.psutil, "cpu_times", lambda: SimpleNamespace(**vars(machine)))
    times, now = [(0.0, 0.0, 0.0, 0.0, 0.0)], [0.0]
    monkeypatch.setattr(machine_state.os, "times", lambda: times[0])
    monkeypatch.setattr(machine_state.time, "monotonic", lambda: now[0])
    with OthersLoad() as load:
        machine.user, machine.system, machine.irq, machine.idle = 14.0, 2.0, 1.0, 900.0  # 17 s busy, of which 11 own
        times[0], now[0] = (8.0, 1.0, 1.5, 0.5, 0.0), 10.0
    assert load.cores == 0.6

"""The processes of a run: which there are, how long they live, and what they know."""

from __future__ import annotations

import hashlib
import os
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import faulty_codecs
import numpy as np
import psutil
import pytest

from bench.codecs.base import CodecSpec
from bench.results.rows import FAILED, OK
from bench.runners.evaluate import decoder as decoder_module
from bench.runners.evaluate import measure
from bench.runners.evaluate.decoder import KeptCodec
from bench.runners.evaluate.decoder_client import DecoderFailure, DecoderProcess
from bench.runners.evaluate.engine import Measured, Units, run_units
from bench.runners.evaluate.fork_server import ForkServer
from bench.runners.evaluate.forked_process import ForkedProcess, NoAnswer, ProcessEnded
from bench.runners.evaluate.unit import Unit, UnitImage
from bench.runners.evaluate.unit_progress import LONELY_DEATHS

FAULTY = faulty_codecs.FAULTY_WIDTH
STEPS = (4, 8, 16)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENCH_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, faulty_codecs.environment()[name])


@pytest.fixture
def server() -> Iterator[ForkServer]:
    with ForkServer(["wave", "there_is_no_such_module"]) as started:
        yield started


def find_images(folder: Path) -> tuple[UnitImage, ...]:
    return tuple(UnitImage(path.name, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
                 for path in sorted(folder.glob("*.png")))


def run_faulty(folder: Path, fault: str | None = None, jobs: int = 1) -> tuple[list[Measured], dict[str, list[int]]]:
    """Measure three images, one of them faulty, at three rate points; also return who encoded and who decoded."""
    images = find_images(faulty_codecs.write_images(folder, [(30, 20), (FAULTY, 20), (20, 30)]))
    settings = {"log": str(folder / "log")} | ({"fault": fault} if fault else {})
    units = [Unit(faulty_codecs.spec(step, **settings), "set", None, images, jobs=jobs) for step in STEPS]
    measured = list(run_units(Units(units), jobs))

    who: dict[str, list[int]] = {"encode": [], "decode": []}
    for line in (folder / "log").read_text().splitlines():
        what, number = line.split()
        if int(number) not in who[what]:
            who[what].append(int(number))
    return measured, who


def test_one_worker_and_one_decoder_serve_all_units(tmp_path: Path) -> None:
    measured, who = run_faulty(tmp_path)
    assert [one.row.status for one in measured] == [OK] * 9 and all(one.row.decode_matches for one in measured)
    assert len(who["encode"]) == len(who["decode"]) == 1
    assert len({os.getpid(), *who["encode"], *who["decode"]}) == 3  # apart from each other and from this one
    assert not any(psutil.pid_exists(number) for number in who["encode"] + who["decode"])


def test_nobody_waits_between_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is for units that others hold; a second between any two would cost more than most units."""
    from bench.runners.evaluate import engine

    monkeypatch.setattr(engine, "_RETRY_S", 1e6)
    measured, _ = run_faulty(tmp_path)
    assert [one.row.status for one in measured] == [OK] * 9


def test_who_leaves_what_others_hold_still_measures_all_that_is_free(tmp_path: Path) -> None:
    class HeldUnits(Units):
        waits_for_others = False

        def take(self, accepts: Callable[[Unit], bool] = lambda unit: True) -> Unit | None:
            return super().take(lambda unit: unit.spec.point != "s8")

    images = find_images(tmp_path)
    units = [Unit(faulty_codecs.spec(step), "set", None, images) for step in (4, 8, 16)]
    rows = [one.row for one in run_units(HeldUnits(units), 1)]
    assert [row.point for row in rows] == ["s4"] * len(images) + ["s16"] * len(images)


def test_jobs_have_a_worker_and_a_decoder_each(tmp_path: Path) -> None:
    measured, who = run_faulty(tmp_path, jobs=2)
    assert [one.row.status for one in measured] == [OK] * 9
    assert len(who["encode"]) == len(who["decode"]) == 2


def test_crashed_decoder_is_replaced_and_its_worker_goes_on(tmp_path: Path) -> None:
    measured, who = run_faulty(tmp_path, "crash")
    assert [one.row.status for one in measured] == [OK, FAILED, OK] * 3
    assert len(who["encode"]) == 1 and len(who["decode"]) == 1 + 3  # one for each crash


@pytest.mark.parametrize("fault", ["die", *faulty_codecs.DEADLY_SIGNALS])
def test_dead_worker_is_replaced_with_its_decoder_and_the_rest_goes_on(tmp_path: Path, fault: str) -> None:
    measured, who = run_faulty(tmp_path, fault)
    assert [one.row.status for one in measured] == [OK, FAILED, OK] * 3
    assert len(who["encode"]) == len(who["decode"]) == 3 + 1
    assert not any(psutil.pid_exists(number) for number in who["decode"])
    ending = "status 3" if fault == "die" else f"SIG{'SEGV' if fault == 'segfault' else 'KILL'}"
    assert measured[1].row.reason == f"EncoderDied: the process that encodes died ({ending})"


def test_a_killed_server_of_processes_is_replaced_and_costs_no_picture(tmp_path: Path) -> None:
    measured, _ = run_faulty(tmp_path, "crash with server")
    assert [one.row.status for one in measured] == [OK, FAILED, OK] * 3
    assert all("the decoder process died (SIGABRT)" in one.row.reason for one in measured[1::3])


def test_a_codec_that_dies_when_it_is_built_fails_every_picture_after_a_few_tries(tmp_path: Path) -> None:
    images = find_images(faulty_codecs.write_images(tmp_path, [(30, 20)] * 5))
    spec = faulty_codecs.spec(fault="die building", log=str(tmp_path / "log"))
    rows = [one.row for one in run_units(Units([Unit(spec, "set", None, images)]), 1)]
    assert [(row.image, row.status) for row in rows] == [(image.name, FAILED) for image in images]
    assert all("(status 4); it did so 3 times in a row before it had begun a picture" in row.reason for row in rows)
    encoders_and_decoders = len((tmp_path / "log").read_text().splitlines())
    assert LONELY_DEATHS <= encoders_and_decoders <= 2 * LONELY_DEATHS


def write_stream(path: Path, spec: CodecSpec) -> np.ndarray:
    """Encode an image here; return what its decoding should be."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    encoding = faulty_codecs.Deflate(spec).encode(image)
    path.write_bytes(encoding.stream)
    expected = encoding.reconstruct()
    assert expected is not None
    return expected


def test_decoder_knows_the_last_specification_only(tmp_path: Path) -> None:
    with DecoderProcess() as decoder:
        for step in (4, 64, 4):
            spec = faulty_codecs.spec(step)
            expected = write_stream(tmp_path / "stream", spec)
            decoder.prepare(spec)
            for _ in range(2):
                decoded, decode_s = decoder.decode(tmp_path / "stream")
                assert np.array_equal(decoded, expected) and decode_s > 0
                assert decoded.flags.writeable and decoded.dtype == np.uint8


def test_decoder_knows_nothing_of_the_process_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = write_stream(tmp_path / "stream", faulty_codecs.spec())
    monkeypatch.setattr(faulty_codecs.Deflate, "_pixels", lambda self, quantised: np.zeros((20, 30, 3), np.uint8))
    with DecoderProcess() as decoder:
        decoder.prepare(faulty_codecs.spec())
        assert np.array_equal(decoder.decode(tmp_path / "stream")[0], expected)


def test_fault_of_a_codec_that_decoded_nothing_is_not_charged_to_the_next(tmp_path: Path) -> None:
    expected = write_stream(tmp_path / "stream", faulty_codecs.spec())
    with DecoderProcess() as decoder:
        decoder.prepare(faulty_codecs.spec(fault="build"))
        decoder.prepare(faulty_codecs.spec())
        assert np.array_equal(decoder.decode(tmp_path / "stream")[0], expected)
        decoder.prepare(faulty_codecs.spec(fault="build"))
        with pytest.raises(DecoderFailure, match="do not fit"):
            decoder.decode(tmp_path / "stream")


def test_memory_of_a_codec_is_free_before_the_next_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    class Heavy:
        pass

    built: list[weakref.ref] = []

    def build(spec: CodecSpec) -> Heavy:
        assert all(earlier() is None for earlier in built)
        codec = Heavy()
        built.append(weakref.ref(codec))
        return codec

    monkeypatch.setattr(decoder_module, "build_codec", build)
    kept = KeptCodec()
    specs = [{"codec": "heavy", "name": "heavy", "point": point} for point in "aabba"]
    for spec in specs:
        kept.find(spec)
    assert len(built) == 3 and built[-1]() is not None


def test_memory_of_a_workers_codec_is_free_before_the_next_is_built(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[weakref.ref] = []

    def build(spec: CodecSpec) -> faulty_codecs.Deflate:
        assert all(earlier() is None for earlier in built)
        codec = faulty_codecs.Deflate(spec)
        built.append(weakref.ref(codec))
        return codec

    monkeypatch.setattr(measure, "build_codec", build)
    images = find_images(faulty_codecs.write_images(tmp_path, [(30, 20), (20, 30)]))
    with DecoderProcess() as decoder:
        for step in STEPS:
            rows = list(measure.run_unit(Unit(faulty_codecs.spec(step), "set", None, images), decoder=decoder))
            assert [row.status for row in rows] == [OK, OK]
    assert len(built) == len(STEPS)


def exit_with_three(connection: Connection) -> None:
    print("some last words")
    raise SystemExit(3)


def kill_itself(connection: Connection) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tell_of_itself(connection: Connection) -> None:
    import sys

    connection.send(("wave" in sys.modules, os.getpid() == os.getsid(0)))


def sleep(connection: Connection) -> None:
    if os.fork() == 0:
        time.sleep(600)
    connection.send(os.getpid())
    time.sleep(600)


def send_without_end(connection: Connection) -> None:
    connection.send("first")
    while True:
        connection.send_bytes(bytes(1000))


def process(server: ForkServer, function, **options) -> ForkedProcess:
    return ForkedProcess(server.address, f"{__name__}:{function.__name__}", **options)


@pytest.mark.parametrize(("function", "status", "text"), [
    (exit_with_three, 3, "status 3"), (kill_itself, -signal.SIGKILL, "SIGKILL"),
])
def test_how_a_process_ended_is_told(server: ForkServer, function, status: int, text: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.touch()
    started = process(server, function, output=str(output))
    with pytest.raises(ProcessEnded, match=text) as caught:
        started.receive(60)
    assert caught.value.status == status
    assert output.read_text() == ("some last words\n" if status == 3 else "")
    started.end()


def test_modules_are_there_already_and_missing_ones_left_out(server: ForkServer) -> None:
    started = process(server, tell_of_itself)
    assert started.receive(60) == (True, True)
    started.end()


def compute_on(connection: Connection) -> None:
    import hashlib

    signal.signal(signal.SIGTERM, lambda *_: os._exit(1))  # which native code puts off
    connection.send(os.getpid())
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def test_a_process_in_native_code_does_not_delay_the_end(server: ForkServer) -> None:
    started = process(server, compute_on)
    number = started.receive(60)
    since = time.monotonic()
    started.end(signal.SIGTERM)
    assert time.monotonic() - since < 20  # on a busy machine; else half a second
    with pytest.raises(ProcessLookupError):
        os.killpg(number, 0)


def test_process_ends_whatever_it_is_sending(server: ForkServer) -> None:
    started = process(server, send_without_end)
    assert started.receive(60) == "first"
    os.read(started.connection.fileno(), 500)  # an interrupt in the middle of a message
    started.end(signal.SIGTERM)
    assert started.connection.closed


def test_process_ends_with_all_that_it_started(server: ForkServer) -> None:
    started = process(server, sleep)
    number = started.receive(60)
    (child,) = psutil.Process(number).children()
    with pytest.raises(NoAnswer):
        started.receive(0.1)
    started.end()
    assert not psutil.pid_exists(number)
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

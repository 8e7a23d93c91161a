"""What a worker's death costs a unit: the picture in work, no other; and no unit is tried without end."""

from __future__ import annotations

from collections.abc import Iterator

import faulty_codecs
from hypothesis import given
from hypothesis import strategies as st

from bench.results.rows import FAILED, Provenance, Row
from bench.runners.evaluate.measure import failed_row
from bench.runners.evaluate.unit import Unit, UnitImage, identify
from bench.runners.evaluate.unit_progress import LONELY_DEATHS, Begun, Done, Ended, Message, UnitProgress

BEFORE_ITS_ROW, AFTER_ITS_ROW, AT_END = "before its row", "after its row", "at the end"


def make_unit(pictures: int) -> Unit:
    images = tuple(UnitImage(f"{number}.png", f"/pictures/{number}.png", "0" * 64) for number in range(pictures))
    return Unit(faulty_codecs.spec(), "set", None, images, metrics=())


def make_done(unit: Unit, image: UnitImage) -> Done:
    row = failed_row(unit, image, identify(unit.spec), RuntimeError(), Provenance())
    return Done(Row.from_json(row.to_json()), {})


def say_until_death(unit: Unit, deaths: dict[str, str], at_start: bool) -> Iterator[Message]:
    """What a worker says; it dies where ``deaths`` says so of a picture, once between two and always in work."""
    if at_start:
        return
    for image in unit.images:
        yield Begun(image.name)
        if deaths.get(image.name) == BEFORE_ITS_ROW:
            return
        yield make_done(unit, image)
        if deaths.pop(image.name, None) == AFTER_ITS_ROW:
            return
    if deaths.pop(AT_END, None):
        return
    yield Ended()


@given(st.integers(1, 8), st.data())
def test_a_death_costs_the_picture_in_work_and_no_other(pictures: int, data: st.DataObject) -> None:
    unit = make_unit(pictures)
    names = [image.name for image in unit.images]
    deaths = data.draw(st.dictionaries(st.sampled_from([*names, AT_END]),
                                       st.sampled_from([BEFORE_ITS_ROW, AFTER_ITS_ROW])))
    killers = {name for name in names if deaths.get(name) == BEFORE_ITS_ROW}
    expected_workers = 1 + len(deaths)
    starts_that_fail = data.draw(st.sets(st.integers(0, expected_workers), max_size=LONELY_DEATHS - 2))

    progress, done, failed, workers = UnitProgress(unit), [], [], 0
    while not progress.finished:
        assert set(names) == {*done, *failed, *(image.name for image in progress.left.images)}
        for message in say_until_death(progress.left, deaths, at_start=workers in starts_that_fail):
            progress.hear(message)
            done += [message.row.image] if isinstance(message, Done) else []
        if not progress.finished:
            failed += [row.image for row in progress.bury_worker("SIGKILL")]
        workers += 1

    assert set(failed) == killers and sorted(done + failed) == names
    assert workers <= expected_workers + len(starts_that_fail)


def test_failed_rows_say_how_the_worker_ended() -> None:
    progress = UnitProgress(make_unit(2))
    progress.hear(Begun("0.png"))
    (row,) = progress.bury_worker("SIGSEGV")
    assert (row.image, row.status, row.reason) == (
        "0.png", FAILED, "EncoderDied: the process that encodes died (SIGSEGV)")


def test_deaths_with_no_picture_in_work_are_bounded_and_blame_none_alone() -> None:
    progress = UnitProgress(make_unit(3))
    first = make_done(progress.unit, progress.unit.images[0])
    for _ in range(LONELY_DEATHS - 1):
        assert progress.bury_worker("SIGKILL") == []
    progress.hear(Begun("0.png"))
    progress.hear(first)  # it can be done after all, so that the deaths count anew
    for _ in range(LONELY_DEATHS - 1):
        assert progress.bury_worker("SIGKILL") == [] and not progress.finished
    rows = progress.bury_worker("SIGKILL")
    assert progress.finished and [row.image for row in rows] == ["1.png", "2.png"]
    assert all(f"SIGKILL); it did so {LONELY_DEATHS} times in a row" in row.reason for row in rows)


def test_a_death_after_the_last_row_costs_nothing() -> None:
    progress = UnitProgress(make_unit(1))
    progress.hear(Begun("0.png"))
    progress.hear(make_done(progress.unit, progress.unit.images[0]))
    assert progress.bury_worker("SIGKILL") == [] and progress.finished

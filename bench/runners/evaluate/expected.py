"""What a unit is expected to take: by rows of this machine, else of others, else by what its codec says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from bench.codecs.base import CODECS, CodecSpec
from bench.common.files import file_name, match_files
from bench.results.latency_rows import DECODE, DIRECTIONS, ENCODE, LatencyRow
from bench.results.latency_selection import DEFAULT
from bench.results.rows import OK, Row
from bench.results.store import Store, read_rows
from bench.results.stored import LATENCY
from bench.runners.evaluate.known_times import ANY_POINT, KnownTimes, average_times, is_timed
from bench.runners.evaluate.stopwatch import CODING, FILES, SCORING, STARTING
from bench.runners.forecast import ELSEWHERE, GUESSED, Forecast, Kind

METRICS_S_PER_MEGAPIXEL = 0.6  # PSNR and MS-SSIM on one core
FILES_S_PER_MEGAPIXEL = 0.08  # reading, and digests
# Seconds until a unit's first image is coded: of a run's first unit, which starts processes that import what they
# need, and of a later one; of codecs that run through torch, and of others.
FIRST_START_S = {True: 3.0, False: 2.0}
LATER_START_S = {True: 0.15, False: 0.05}
# How often an image is decoded: by the decoder's process and, to compare, by the encoder's, in which a model's own
# reconstruction needs no context model.
DECODINGS = {True: 1.3, False: 2.0}
MINIATURE_S_PER_MEGAPIXEL = 0.8  # where nothing else is known of it

SCORING_KIND, FILES_KIND = Kind("metrics", "metrics", ELSEWHERE), Kind("files", "files", ELSEWHERE)

@dataclass(frozen=True)
class Work:
    """A part of what a unit does, as the stopwatch counts it."""

    kind: Kind
    part: str
    planned_s: float


@dataclass(frozen=True)
class ExpectedUnit:
    """What a unit is expected to take.

    Attributes:
        start: until its first image is coded; that one is coded twice, to warm up.
        images: name of each to what has to be done for it.
    """

    start: Work
    images: Mapping[str, tuple[Work, ...]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Of all of it."""
        return self.start.planned_s + sum(work.planned_s for works in self.images.values() for work in works)

    def delay_start(self, seconds: float) -> ExpectedUnit:
        """Return what it takes where its start takes so much longer."""
        return replace(self, start=replace(self.start, planned_s=self.start.planned_s + seconds))

    def enter(self, forecast: Forecast) -> None:
        """Add all of it to what is left of a run."""
        forecast.expect(self.start.kind, self.start.planned_s)
        for works in self.images.values():
            for work in works:
                forecast.expect(work.kind, work.planned_s)

    def narrow(self, images: Collection[str]) -> ExpectedUnit:
        """Return what it takes for some of the images."""
        return ExpectedUnit(self.start, {image: works for image, works in self.images.items() if image in images})

    def leave_out(self, forecast: Forecast, images: Collection[str]) -> None:
        """Take out what need not be done for some images, and the start where none is left."""
        works = [work for image in images for work in self.images[image]]
        if len(images) == len(self.images):
            works.append(self.start)
        for work in works:
            forecast.drop(work.kind, work.planned_s)

    def finish_image(self, forecast: Forecast, image: str, seconds: Mapping[str, float], *, is_first: bool) -> None:
        """An image is done, the first of its unit with the start.

        Args:
            seconds: that each part took; one without any teaches nothing.
        """
        for work in (*([self.start] if is_first else []), *self.images[image]):
            taken_s = seconds.get(work.part, 0.0)
            if taken_s > 0:
                forecast.finish(work.kind, work.planned_s, taken_s)
            else:
                forecast.drop(work.kind, work.planned_s)


class RunForecast:
    """Tells a forecast how the units of a run fare.

    Args:
        forecast: of all of them, with as many workers as there are units at a time.
        expected: codec and rate point to what the unit was expected to take.
    """

    def __init__(self, forecast: Forecast, expected: Mapping[tuple[str, str], ExpectedUnit]) -> None:
        self._forecast, self._expected = forecast, expected
        self._begun: set[tuple[str, str]] = set()
        self._images_left = {unit: len(one.images) for unit, one in expected.items()}
        self._is_shared = False

    def share_among(self, workers: int) -> None:
        """Units are cut, so that so many workers have something to do until the end."""
        self._forecast.workers, self._is_shared = workers, True

    def finish_image(self, row: Row, seconds: Mapping[str, float]) -> None:
        """An image is done, and took so long; one that failed teaches nothing."""
        unit = row.name, row.point
        is_first = unit not in self._begun
        self._begun.add(unit)
        self._expected[unit].finish_image(self._forecast, row.image, seconds if row.status == OK else {},
                                          is_first=is_first)
        self._count(unit, 1)

    def leave_out(self, unit: tuple[str, str], images: Collection[str]) -> None:
        """Some images of a unit need not be done."""
        self._expected[unit].leave_out(self._forecast, images)
        self._count(unit, len(images))

    def _count(self, unit: tuple[str, str], images: int) -> None:
        """Images are done; a unit is not shared among workers, so that the last ones keep few of them busy."""
        self._images_left[unit] -= images
        busy = sum(1 for left in self._images_left.values() if left > 0)
        if not self._is_shared:
            self._forecast.workers = max(1, min(self._forecast.workers, busy))


class UnitTimes:
    """Looks up how long codecs take.

    Args:
        store: with the rows of all datasets.
        rows: those of the dataset that is measured, which come first.
        device: of codecs that run through torch.
    """

    def __init__(self, store: Store, rows: Iterable[Row], device: str) -> None:
        self._root, self._device = store.root, device.partition(":")[0]
        self._rows: dict[str, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(row.name, []).append(row)
        self._known: dict[str, KnownTimes] = {}

    def expect(self, spec: CodecSpec, sizes: Mapping[str, float], *, is_first: bool) -> ExpectedUnit:
        """Return what a unit is expected to take.

        Args:
            spec: of its codec.
            sizes: in megapixels, of the images that it has to measure.
            is_first: its processes start with it.
        """
        through_torch = CODECS.get(spec.codec).uses_torch
        family = "learned" if through_torch else "classical"
        start = Kind(f"start {family}", "start", ELSEWHERE)
        if not sizes:
            return ExpectedUnit(Work(start, STARTING, 0.0))

        if spec.name not in self._known:
            self._known[spec.name] = self._find_times(spec)
        known = self._known[spec.name]
        coding = Kind(f"coding {spec.name}", family, known.source)
        images = {name: (Work(coding, CODING, known.expect_s(spec.point, size)),
                         Work(SCORING_KIND, SCORING, METRICS_S_PER_MEGAPIXEL * size),
                         Work(FILES_KIND, FILES, FILES_S_PER_MEGAPIXEL * size)) for name, size in sizes.items()}
        start_s = (FIRST_START_S if is_first else LATER_START_S)[through_torch]
        warm_up_s = known.expect_s(spec.point, next(iter(sizes.values())))
        return ExpectedUnit(Work(start, STARTING, start_s + warm_up_s), images)

    def _find_times(self, spec: CodecSpec) -> KnownTimes:
        """Look in rows of this dataset, in those of others, in the model's profile; else take the entry's guess."""
        entry = CODECS.get(spec.codec)
        device = self._device if entry.uses_torch else "cpu"
        for rows in (self._rows.get(spec.name, []), self._read_all_rows(spec.name)):
            timed = [row for row in rows if is_timed(row, device)]
            if timed:
                return average_times(timed, DECODINGS[entry.uses_torch])

        profiled_s = self._read_profile(spec, device) if entry.uses_torch else None
        if profiled_s is not None:
            return KnownTimes({ANY_POINT: profiled_s}, ELSEWHERE)
        guess_s = MINIATURE_S_PER_MEGAPIXEL if spec.settings.get("miniature") else entry.seconds_per_megapixel
        return KnownTimes({ANY_POINT: guess_s}, GUESSED)

    def _read_all_rows(self, name: str) -> list[Row]:
        """Return the rows that a codec has of any dataset."""
        return [row for path in match_files(self._root, f"*/{file_name(name)}.jsonl") for row in read_rows(path, Row)]

    def _read_profile(self, spec: CodecSpec, device: str) -> float | None:
        """Return the seconds per megapixel of a model's profile: the variant's, or that of its architecture."""
        names = [spec.name] if spec.settings.get("miniature") else [spec.name, str(spec.settings.get("model"))]
        for name in names:
            rows = [row for path in match_files(self._root, f"{LATENCY}/*/{file_name(name)}.jsonl")
                    for row in read_rows(path, LatencyRow)]
            passes = {row.direction: median(row.samples_s) * 1e6 / (row.width * row.height) for row in rows
                      if row.status == OK and row.configuration == DEFAULT and row.device.startswith(device)}
            if set(passes) == set(DIRECTIONS):
                return passes[ENCODE] + DECODINGS[True] * passes[DECODE]
        return None

"""What stored rows tell of a codec's times: a megapixel's at each rate point, and how it grows with the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.results.machines import find_machine, is_from
from bench.results.rows import Row
from bench.runners.forecast import ELSEWHERE, HERE

ANY_POINT = ""
LEAST_SPREAD = 1.5  # of the sizes that tell how times grow with them, largest over smallest


@dataclass(frozen=True)
class KnownTimes:
    """What is known of a codec's times to encode, decode and compare.

    Attributes:
        s_per_megapixel: seconds at each rate point, the mean as ``ANY_POINT``.
        source: whence.
        megapixels: mean size of the images that they were taken on.
        growth: by which part of them a megapixel takes longer where an image is a megapixel larger.
    """

    s_per_megapixel: Mapping[str, float]
    source: str
    megapixels: float = 0.0
    growth: float = 0.0

    def expect_s(self, point: str, megapixels: float) -> float:
        """Return the seconds that an image of one size is expected to take."""
        s_per_megapixel = self.s_per_megapixel.get(point, self.s_per_megapixel[ANY_POINT])
        return s_per_megapixel * megapixels * (1 + self.growth * (megapixels - self.megapixels))


def is_timed(row: Row, device: str) -> bool:
    """Whether a row has times of this kind of device, as far as it says."""
    same = row.provenance.device.partition(":")[0] in ("", device)
    return same and bool(row.encode_s and row.decode_s and row.width and row.height)


def average_times(rows: Sequence[Row], decodings: float) -> KnownTimes:
    """Average over the rows of this machine where there are any, else over all."""
    here = find_machine()
    own = [row for row in rows if is_from(row, here)]
    timed: dict[str, list[tuple[float, float]]] = {}
    for row in own or rows:
        assert row.encode_s and row.decode_s and row.width and row.height  # it is timed
        megapixels = row.width * row.height / 1e6
        timed.setdefault(row.point, []).append((megapixels, (row.encode_s + decodings * row.decode_s) / megapixels))

    found = [pair for pairs in timed.values() for pair in pairs]
    s_per_megapixel = {point: fmean(seconds for _, seconds in pairs)
                       for point, pairs in [*timed.items(), (ANY_POINT, found)]}
    mean_size = fmean(size for size, _ in found)
    return KnownTimes(s_per_megapixel, HERE if own else ELSEWHERE, mean_size, _fit_growth(timed, mean_size))


def _fit_growth(timed: Mapping[str, Sequence[tuple[float, float]]], mean_size: float) -> float:
    """Return how a megapixel's time grows with an image's size: an attention over all of it takes quadratic time.

    Times of one rate point are compared with each other alone; small differences of sizes tell nothing. A time that
    falls counts as constant, one that is quadratic or more as quadratic.

    Args:
        timed: rate point to megapixels of each image and seconds per megapixel.
        mean_size: of all images in megapixels.
    """
    above, square = 0.0, 0.0
    for pairs in timed.values():
        sizes = [size for size, _ in pairs]
        if max(sizes) < LEAST_SPREAD * min(sizes):
            continue
        size, seconds = fmean(sizes), fmean(seconds for _, seconds in pairs)
        above += sum((own - size) * (own_s / seconds - 1) for own, own_s in pairs)
        square += sum((own - size) ** 2 for own, _ in pairs)
    return min(max(above / square, 0.0), 1 / mean_size) if square else 0.0

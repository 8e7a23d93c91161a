"""The rates of an answer: what each codec needs on one dataset, measured here or by published points."""

from __future__ import annotations

from dataclasses import dataclass

from bench.datasets.catalogue import load_catalogue
from bench.datasets.own_folders import is_own_folder
from bench.metrics.quality import METRICS, PSNR
from bench.reports.front.answer import AnswerDataset, BDRate, Rate
from bench.reports.latency.rates import SAME_MODEL
from bench.reports.rate.bd_tables import HPCM_BASE
from bench.reports.rate.compared import ComparedDataset, compare_dataset
from bench.reports.rate.comparison import AnchorComparisons, ComparedCodec, Comparison, group_by_codec
from bench.reports.rate.curves import ANCHOR, HPCM_BASE_PUBLISHED, MEASURED, PUBLISHED
from bench.results.labels import BASE_MINIATURE
from bench.results.machines import name_machine
from bench.results.stored import StoredResults
from bench.variants import load_variants

DIGITS = 6  # of figures; beyond them two machines may differ
VVENC = "vvenc"  # the anchor of sets that no VVC curve is published of


@dataclass(frozen=True)
class Anchors:
    """What codecs of one dataset are compared with; None where it is not there."""

    vvc: AnchorComparisons | None
    base: AnchorComparisons | None
    base_miniature: AnchorComparisons | None


def list_datasets(results: StoredResults, own: bool = False) -> list[str]:
    """Return the sets that VVC curves are published of, in the catalogue's order, then its others with rows.

    Args:
        own: return the folders of the user's own instead.
    """
    if own:
        return [name for name in results.datasets if is_own_folder(name)]
    benchmarks = [name for name, spec in load_catalogue().items() if spec.published.anchors]
    others = (name for name in results.datasets if name not in benchmarks and not is_own_folder(name))
    return [*benchmarks, *others]


def describe_dataset(results: StoredResults, name: str) -> AnswerDataset:
    """Return what is said of a dataset: coverage, anchors, and where its rows were made.

    Raises:
        BenchError: a file of rows or an imported curve is damaged.
    """
    compared = results.derive(compare_dataset, name)
    anchors = _find_anchors(compared)
    coverage, spec = compared.coverage, load_catalogue().get(compared.selection.dataset)
    machines = {name_machine(row.provenance) for row in compared.selection.rows}
    vvc, base, miniature = (group.anchor.label if group else ""
                            for group in (anchors.vvc, anchors.base, anchors.base_miniature))
    return AnswerDataset(
        name=compared.selection.dataset, title=coverage.short_title or coverage.title,
        benchmark=bool(spec and spec.published.anchors), images=coverage.images,
        total=coverage.total or (len(spec.images) if spec else None), warnings=coverage.warnings,
        coverage=coverage.text if coverage.images and not coverage.complete else "",
        anchor=vvc, base=base, base_miniature=miniature,
        machines=tuple(sorted(machines - {""})))


def find_rates(results: StoredResults, dataset: str) -> dict[str, Rate]:
    """Return what is known of each codec on ``dataset``, by the codec's name.

    Points that were measured here go before the published ones of the same model, but for curves without a BD-rate.

    Raises:
        BenchError: a file of rows or an imported curve is damaged.
    """
    compared = results.derive(compare_dataset, dataset)
    anchors = _find_anchors(compared)
    codecs = {(codec.origin, codec.name): codec for codec in _list_codecs(compared)}
    trained_for = {name: variant.metric for name, variant in load_variants().items() if variant.metric in METRICS}
    rates = {name: _make_rate(codec, anchors, trained_for.get(name, PSNR.name))
             for (origin, name), codec in codecs.items() if origin == MEASURED}
    for name, curve in SAME_MODEL.items():
        codec = codecs.get((PUBLISHED, curve))
        if codec is not None and not (name in rates and _has_bd_rate(rates[name])):
            rates[name] = _make_rate(codec, anchors, trained_for.get(name, PSNR.name))
    return rates


def _list_codecs(compared: ComparedDataset) -> list[ComparedCodec]:
    if not compared.groups:
        return group_by_codec(compared.measured)
    return [one.test for one in compared.groups[0].comparisons]


def _has_bd_rate(rate: Rate) -> bool:
    return rate.versus_anchor is not None or rate.versus_base is not None


def _find_anchors(compared: ComparedDataset) -> Anchors:
    """Choose among what the report of the dataset compares with."""
    groups = {(group.anchor.origin, group.anchor.name): group for group in compared.groups}
    vvc = next((group for group in compared.groups if group.anchor.origin == ANCHOR), groups.get((MEASURED, VVENC)))
    base = groups.get((MEASURED, HPCM_BASE)) or groups.get((PUBLISHED, HPCM_BASE_PUBLISHED))
    return Anchors(vvc, base, groups.get((MEASURED, BASE_MINIATURE)))


def _make_rate(codec: ComparedCodec, anchors: Anchors, metric: str) -> Rate:
    """What is known of a codec by the metric that it was trained for."""
    curve = codec.curves.get(metric, codec.main)
    base = anchors.base_miniature if curve.miniature else anchors.base
    versus_anchor, versus_base = _find_bd_rate(anchors.vvc, codec, metric), _find_bd_rate(base, codec, metric)
    telling = base if curve.miniature else anchors.vvc
    remarks = list(_find_comparison(telling, codec).remarks if telling else curve.remarks)
    remarks += [one.remark for one in (versus_anchor, versus_base) if one is not None and one.remark]
    return Rate(origin="published" if codec.origin == PUBLISHED else "measured", points=len(curve.rate),
                images=curve.images, versus_anchor=versus_anchor, versus_base=versus_base,
                remark="; ".join(dict.fromkeys(remarks)))


def _find_bd_rate(group: AnchorComparisons | None, codec: ComparedCodec, metric: str) -> BDRate | None:
    percent = None if group is None else _find_comparison(group, codec).bd_rates_percent.get(metric)
    if group is None or percent is None:
        return None
    itself = (group.anchor.origin, group.anchor.name) == (codec.origin, codec.name)
    published = PUBLISHED in (group.anchor.origin, codec.origin)
    by = "" if metric == PSNR.name else METRICS.get(metric).label
    spread = None if itself else group.find_spread(codec, metric)
    if spread is None:
        return BDRate(percent=round(percent, DIGITS), by=by, published=published)
    return BDRate(percent=round(percent, DIGITS), by=by, published=published, interval=_round_ends(spread.interval),
                  images_percent=_round(spread.mean), images_interval=_round_ends(spread.mean_interval),
                  median_percent=_round(spread.median), without_one=_round_ends(spread.without_one),
                  remark=spread.remark)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _round_ends(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if ends is None else (round(ends[0], DIGITS), round(ends[1], DIGITS))


def _find_comparison(group: AnchorComparisons, codec: ComparedCodec) -> Comparison:
    """The comparison of ``codec``, which every group has."""
    return next(one for one in group.comparisons if (one.test.origin, one.test.name) == (codec.origin, codec.name))

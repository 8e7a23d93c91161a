"""The costs of an answer: time, memory and operations of each variant, as every device measured them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.metrics.statistics.ratios import Ratio
from bench.metrics.statistics.timing import summarise_times
from bench.reports.front.answer import Cost
from bench.reports.latency.device import MeasuredDevice
from bench.results.labels import BASE_MINIATURE
from bench.results.latency_figures import kmac_per_pixel, list_uncounted, peak_bytes
from bench.results.latency_rows import DECODE, ENCODE, LatencyRow
from bench.results.latency_selection import BASE, Case, compare_rows
from bench.results.machines import name_machine
from bench.results.stored import StoredResults
from bench.variants import Variant, find_trained_otherwise

DIGITS = 9  # of seconds and ratios


def find_costs(results: StoredResults, variants: Iterable[Variant]) -> dict[str, tuple[Cost, ...]]:
    """Return what each variant costs on every device, the one measured last first, by the variant's name.

    Variants that are only trained otherwise cost what the one with the same model costs.

    Raises:
        BenchError: a file of rows is damaged.
    """
    selections = [selection for device in results.devices if (selection := results.latencies(device)).stored]
    newest_first = sorted(selections, key=lambda selection: selection.stored[-1].measured_at, reverse=True)
    found: dict[str, list[Cost]] = {}
    for selection in newest_first:
        device = MeasuredDevice.from_selection(selection)
        for case in device.headline_cases:
            found.setdefault(case.name, []).append(_make_cost(device, case))
    return {name: tuple(costs) for name, costs in (found | _take_over(found, find_trained_otherwise(variants))).items()}


def _take_over(found: Mapping[str, list[Cost]], same_cost: Mapping[str, str]) -> dict[str, list[Cost]]:
    """Costs of variants that were not measured, of another variant with the same model."""
    return {name: found[model] for name, model in same_cost.items() if name not in found and model in found}


def _make_cost(device: MeasuredDevice, case: Case) -> Cost:
    encode, decode = case.measured(ENCODE), case.measured(DECODE)
    base = BASE_MINIATURE if case.any.miniature else BASE
    ratio = None
    if decode is not None and case.name != base:
        ratio = compare_rows(decode, device.selection.in_turns(decode, base))

    value = 1.0 if decode is not None and case.name == base else getattr(ratio, "value", None)
    return Cost(
        device=name_machine(case.any.provenance) or case.any.device, shape=case.conditions.shape, model=case.name,
        weights=case.any.weights, encode_s=_find_median(encode), decode_s=_find_median(decode),
        decode_ratio=_round(value), decode_differs=ratio is not None and ratio.differs,
        decode_interval=_find_interval(ratio),
        peak_bytes=peak_bytes(case), parameters=case.any.parameters,
        encode_kmac_per_pixel=_round(kmac_per_pixel(encode)), decode_kmac_per_pixel=_round(kmac_per_pixel(decode)),
        kmac_is_lower_bound=bool(list_uncounted(encode) or list_uncounted(decode)))


def _find_interval(ratio: Ratio | None) -> tuple[float, float] | None:
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    return round(ratio.low, DIGITS), round(ratio.high, DIGITS)


def _find_median(row: LatencyRow | None) -> float | None:
    return None if row is None else _round(summarise_times(row.samples_s).median)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)

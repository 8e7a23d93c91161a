"""Registers the toy metric in every process, as a user's plug-in in ``BENCH_PLUGINS`` would."""

from toy_metric import MEAN_DIFFERENCE

from bench.metrics.quality import METRICS, add_metric

if MEAN_DIFFERENCE.name not in METRICS:  # in the tests' own process it comes and goes
    add_metric(MEAN_DIFFERENCE)

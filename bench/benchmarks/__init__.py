"""Timings of parts of the suite: each a row of ``BENCHMARKS``, run by ``python -m bench benchmark NAME``."""

from bench.benchmarks import biwkv
from bench.benchmarks.benchmark import Benchmark
from bench.registry import Registry

BENCHMARKS: Registry[Benchmark] = Registry("benchmark")
BENCHMARKS.add("biwkv", Benchmark("the Bi-WKV operator: kernel, plain torch and the memory's floor", biwkv.run))

__all__ = ["BENCHMARKS", "Benchmark"]

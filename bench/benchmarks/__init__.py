"""Timings of parts of the suite: each a row of ``BENCHMARKS``, run by ``python -m bench benchmark NAME``."""

from bench.benchmarks import biwkv, bootstrap, coder, networks, training, variants, zoo
from bench.benchmarks.benchmark import Benchmark
from bench.common.registry import Registry

BENCHMARKS: Registry[Benchmark] = Registry("benchmark")
BENCHMARKS.add("biwkv", Benchmark("the Bi-WKV operator: kernel, plain torch and the memory's floor", biwkv.run))
BENCHMARKS.add("bootstrap", Benchmark("the bootstrap of BD-rates beside a loop over a package", bootstrap.run))
BENCHMARKS.add("coder", Benchmark("the entropy coder beside CompressAI's", coder.run))
BENCHMARKS.add("networks", Benchmark("hpcm_base beside the bare networks that it consists of", networks.run))
BENCHMARKS.add("training", Benchmark("training steps fed by this suite's loader and by a plain one", training.run))
BENCHMARKS.add("variants", Benchmark("every variant beside hpcm_base", variants.run))
BENCHMARKS.add("zoo", Benchmark("evaluation of CompressAI's models beside CompressAI's own", zoo.run))

__all__ = ["BENCHMARKS", "Benchmark"]

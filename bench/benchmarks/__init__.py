"""Timings of parts of the suite, a module each, by name what is timed; run by ``python -m bench benchmark NAME``."""

from bench.common.registry import Registry

BENCHMARKS: Registry[str] = Registry("benchmark")
BENCHMARKS.add("biwkv", "the Bi-WKV operator: kernel, plain torch and the memory's floor")
BENCHMARKS.add("bootstrap", "the bootstrap of BD-rates beside a loop over a package")
BENCHMARKS.add("coder", "the entropy coder beside CompressAI's")
BENCHMARKS.add("networks", "hpcm_base beside the bare networks that it consists of")
BENCHMARKS.add("training", "training steps fed by this suite's loader and by a plain one")
BENCHMARKS.add("variants", "every variant beside hpcm_base")
BENCHMARKS.add("zoo", "evaluation of CompressAI's models beside CompressAI's own")

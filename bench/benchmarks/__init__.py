"""Timings of parts of the suite, a module each, by name what is timed; run by ``python -m bench benchmark NAME``."""

from bench.common.registry import Registry

BENCHMARKS: Registry[str] = Registry("benchmark")
for _name, _summary in {
    "biwkv": "the Bi-WKV operator: kernel, plain torch and the memory's floor",
    "bootstrap": "the bootstrap of BD-rates beside a loop over a package",
    "coder": "the entropy coder beside CompressAI's",
    "networks": "hpcm_base beside the bare networks that it consists of",
    "training": "training steps fed by this suite's loader and by a plain one",
    "variants": "every variant beside hpcm_base",
    "zoo": "evaluation of CompressAI's models beside CompressAI's own",
}.items():
    BENCHMARKS.add(_name, _summary)

"""Timings of parts of the suite, a module each; run by ``python -m bench benchmark NAME``."""

from dataclasses import dataclass

from bench.common.registry import Registry


@dataclass(frozen=True)
class BenchmarkEntry:
    """What a module of this package times.

    Attributes:
        summary: what is timed, for the list.
        expected_s: how long it takes on two cores; ``quick_s`` with ``--quick``.
        has_goal: whether any of its ratios has a goal; ``benchmark goals`` runs those alone.
    """

    summary: str
    expected_s: float
    quick_s: float
    has_goal: bool = False


BENCHMARKS: Registry[BenchmarkEntry] = Registry("benchmark", {
    "biwkv": BenchmarkEntry("the Bi-WKV operator: kernel, plain torch and the memory's floor", 120, 5),
    "bootstrap": BenchmarkEntry("the bootstrap of BD-rates beside a loop over a package", 10, 5, has_goal=True),
    "coder": BenchmarkEntry("the entropy coder beside CompressAI's", 20, 5),
    "commands": BenchmarkEntry("the suite's own commands beside `import pandas, matplotlib`", 35, 30, has_goal=True),
    "exact": BenchmarkEntry("codecs in their exact configuration beside their default one", 60, 30, has_goal=True),
    "full_sets": BenchmarkEntry("evaluations of stand-ins of CLIC 2020 and Tecnick: time, memory, disk", 300, 60),
    "miniature": BenchmarkEntry("evaluation of a miniature beside its own encoding, decoding and scoring", 40, 10,
                                has_goal=True),
    "networks": BenchmarkEntry("hpcm_base beside the bare networks that it consists of", 59, 20, has_goal=True),
    "reports": BenchmarkEntry("reports of 100,000 synthesised rows: time, memory, page", 90, 20),
    "scale": BenchmarkEntry("storing, planning and reporting over synthesised rows, 10,000 and 100,000", 150, 15),
    "training": BenchmarkEntry("training steps fed by this suite's loader and by a plain one", 150, 60),
    "variants": BenchmarkEntry("every variant beside hpcm_base", 300, 120),
    "zoo": BenchmarkEntry("evaluation of CompressAI's models beside CompressAI's own", 138, 30, has_goal=True),
    "zoo_24": BenchmarkEntry("the same on as many images as Kodak has, one architecture", 258, 30, has_goal=True),
})

"""What the stored rows say about one claim, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass

from bench.metrics.statistics.estimates import Estimate

MINIATURE = "_mini"  # what the name of a variant's miniature ends with


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim, or why nothing was.

    Attributes:
        estimate: the measured value with its uncertainty, in the claim's unit, or a ratio where ``is_ratio``; None
            without one.
        value: the measured value where its uncertainty is not known, in the claim's unit.
        is_ratio: ``estimate`` is a ratio that the claim states as a change in percent.
        floor: what two measurements of the same thing differ by, in the estimate's unit.
        tolerance: how far a value that the authors measured may be off and still count as found again, in the claim's
            unit; None where finding the value again is not what the evidence can do.
        published: the value is made of published figures alone, so that it refutes the claim if it is not found again.
        missing: why nothing was measured.
        fault: the precondition that is broken.
        place: dataset or device, whether measured or not; empty for what is the same everywhere.
        where: the same with size or rate.
        evidence: what was compared.
        what_n: what the estimate's n counts: "images", "rounds".
        command: what would settle the claim, or check it again.
    """

    estimate: Estimate | None = None
    value: float | None = None
    is_ratio: bool = False
    floor: float = 0.0
    tolerance: float | None = None
    published: bool = False
    missing: str = ""
    fault: str = ""
    place: str = ""
    where: str = ""
    evidence: str = ""
    what_n: str = ""
    command: str = ""

"""One change since the accepted state, as it is found, shown and stored in answers; importing this is light."""

from __future__ import annotations

import msgspec

from bench.results.schema import Name


class Change(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A difference from the accepted state.

    Attributes:
        kind: "rate", "quality", "encode time", "decode time", "memory", "parameters", "operations", "verdict" or
            "row vanished".
        what: variant and dataset, or variant, direction and shape, or the claim.
        worse: it got worse beyond its uncertainty; otherwise better.
        reason: names the term that moved: rate or quality, which images, which stage.
        codec: name of the codec or variant that changed; empty where all did.
    """

    kind: Name
    what: str
    before: str
    after: str
    worse: bool
    reason: str
    codec: str = ""

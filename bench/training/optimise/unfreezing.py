"""Progressive unfreezing: transforms first, then, stage by stage, the groups of parameters around them.

The published schedule (LIC-HPCM-Balanced, phase 4) unfreezes what nothing had frozen, at one exact epoch, into no
group of the optimiser. Here all but the first groups are frozen at the start, stages hold from their point on, and
all groups exist from the start (:func:`layerwise`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.common.errors import ConfigurationError
from bench.training.optimise.parameter_groups import set_trainable

Stage = tuple[float, Sequence[str]]  # from which point on, and the names of the groups

FIRST = ("g_a", "g_s")


class ProgressiveUnfreezing:
    """Freezes all groups but the first, and unfreezes others as training proceeds.

    It has no state: which groups train follows from how far training is, so resuming needs nothing.

    Args:
        groups: parameter groups of the optimiser, as :func:`layerwise` makes them.
        stages: points of progress, as an epoch or a share of the training, with the groups that train from there on.
        first: names of the groups that train from the start.

    Raises:
        ConfigurationError: a group that is not there, or whose learning rate is zero.
    """

    def __init__(
        self, groups: Sequence[Mapping[str, Any]], stages: Sequence[Stage], first: Sequence[str] = FIRST
    ) -> None:
        self._groups = {group["name"]: group for group in groups}
        self.stages = sorted((point, tuple(names)) for point, names in stages)
        self.first = tuple(first)
        self._trained: frozenset[str] | None = None
        named = {*self.first, *(name for _, names in self.stages for name in names)}
        if absent := sorted(named - set(self._groups)):
            raise ConfigurationError(f"there is no parameter group {', '.join(absent)} to unfreeze",
                                     f"the model has: {', '.join(self._groups)}")
        if still := sorted(name for name in named if self._groups[name]["multiplier"] == 0):
            raise ConfigurationError(f"unfreezing {', '.join(still)} would train nothing: the multiplier is 0")

    def trained_at(self, progress: float) -> frozenset[str]:
        """Names of the groups that train at ``progress``."""
        reached = (name for point, names in self.stages if progress >= point for name in names)
        return frozenset((*self.first, *reached))

    def update(self, progress: float) -> frozenset[str]:
        """Freeze and unfreeze for ``progress``, in the unit of the stages; call it before each step or epoch.

        Parameters are touched only when a stage begins, and at the first call. A model wrapped for several
        processes must then be wrapped again: the wrapper knows only what trained when it was made.

        Returns:
            Names of the groups that train from now on and did not before; empty in between.
        """
        trained = self.trained_at(progress)
        if trained == self._trained:
            return frozenset()
        for name, group in self._groups.items():
            if self._trained is None or (name in trained) != (name in self._trained):
                set_trainable(group["params"], name in trained)
        begun = trained - (self._trained or frozenset())
        self._trained = trained
        return begun

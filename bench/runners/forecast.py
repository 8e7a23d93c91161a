"""How long a run will still take: what was planned, corrected by how the run fares.

A pace is what work took over what it was planned to take. Paces are not learnt alone: a machine that is slow at one
kind of work is most likely slow at others too. So the logarithms of all paces are normal variables with what they
share (the machine and its load, a family of works) and what each has of its own; given the paces seen so far, the
others have the means of the conditional distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

# Where planned times come from, and how far a kind of work is from them on its own: standard deviations of logarithms.
HERE, ELSEWHERE, GUESSED = "here", "elsewhere", "guessed"
OWN = {HERE: 0.3, ELSEWHERE: 0.4, GUESSED: 0.6}
LOAD, LOAD_OF_SHORT = 0.35, 0.5  # shared by all: what else the machine does, which in a short run changes less
MACHINE = 0.5  # shared by all that was not planned by times of this machine
FAMILY = 0.25  # shared by a family
GUESS = 0.5  # shared by what is guessed in a family: one guess for all is as wrong for each
IMAGE = 0.3  # of a single image
CLOCK_S = 0.2  # seconds that may be counted wrongly in all that a kind of work took


@dataclass(frozen=True)
class Kind:
    """Work whose times are planned alike.

    Attributes:
        name: what tells it apart.
        family: works of one family fare much alike on a machine.
        source: HERE, ELSEWHERE or GUESSED: where its planned times come from.
    """

    name: str
    family: str = ""
    source: str = GUESSED


@dataclass
class _Account:
    """Of one kind: seconds left as planned; of what is done, how much was planned, what it took, and how often."""

    left_s: float = 0.0
    planned_s: float = 0.0
    taken_s: float = 0.0
    seen: int = 0


@dataclass
class Forecast:
    """What is left of a run, by kind of work.

    Attributes:
        workers: works done at the same time.
        load: standard deviation of what all paces share, see ``LOAD``.
    """

    workers: int = 1
    load: float = LOAD
    _accounts: dict[Kind, _Account] = field(default_factory=dict)

    def expect(self, kind: Kind, planned_s: float) -> None:
        """There is work that is planned to take so long."""
        self._accounts.setdefault(kind, _Account()).left_s += planned_s

    def drop(self, kind: Kind, planned_s: float) -> None:
        """Work that was expected won't be done, or its time tells nothing of others."""
        self.expect(kind, -planned_s)

    def finish(self, kind: Kind, planned_s: float, taken_s: float) -> None:
        """Expected work is done."""
        self.drop(kind, planned_s)
        account = self._accounts[kind]
        account.planned_s += planned_s
        account.taken_s += taken_s
        account.seen += 1

    def left_s(self) -> float:
        """Return the seconds until all is done."""
        paces = self.paces()
        return sum(max(0.0, account.left_s) * paces[kind] for kind, account in self._accounts.items()) / self.workers

    def paces(self) -> dict[Kind, float]:
        """Return for each kind how much longer it takes than planned, as far as is known."""
        kinds = list(self._accounts)
        seen = [kind for kind in kinds if self._accounts[kind].planned_s > 0 and self._accounts[kind].taken_s > 0]
        if not seen:
            return dict.fromkeys(kinds, 1.0)

        accounts = [self._accounts[kind] for kind in seen]
        logs = np.array([math.log(account.taken_s / account.planned_s) for account in accounts])
        noise = np.diag([IMAGE**2 / account.seen + (CLOCK_S / max(account.planned_s, account.taken_s))**2
                         for account in accounts])
        weights = np.linalg.solve(_covariance(seen, seen, self.load) + noise, logs)
        return dict(zip(kinds, np.exp(_covariance(kinds, seen, self.load) @ weights).tolist()))


def _covariance(rows: Sequence[Kind], columns: Sequence[Kind], load: float) -> np.ndarray:
    """Return the covariances of the logarithms of paces, (rows, columns)."""
    def compare(attribute: str) -> np.ndarray:
        values = [np.array([getattr(kind, attribute) for kind in kinds]) for kinds in (rows, columns)]
        return values[0][:, None] == values[1][None, :]

    strange = np.outer([kind.source != HERE for kind in rows], [kind.source != HERE for kind in columns])
    guessed = np.outer([kind.source == GUESSED for kind in rows], [kind.source == GUESSED for kind in columns])
    own = np.array([OWN[kind.source] for kind in rows])[:, None] ** 2
    in_family = FAMILY**2 + guessed * GUESS**2
    return load**2 + strange * MACHINE**2 + compare("family") * in_family + compare("name") * own

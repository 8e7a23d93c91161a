"""Names in checkpoints: what wrappers put before them, and entries that are no weights of the model."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from bench.common.errors import CheckpointError
from bench.common.text import list_names

PREFIX = "module."  # of a multi-GPU wrapper, or of a moving average
LEADING = (PREFIX, "model.")  # the second of Lightning
COMPILER = "_orig_mod."  # torch.compile's, also before the names of parts
COUNTERS = ("total_ops", "total_params", "n_averaged", "num_batches_tracked")  # of thop, of averages, of training
_TRAINING = re.compile(r"(^|_)(criterions?|loss(es)?|metrics?|lpips|discriminator)(_|$)", re.ASCII | re.IGNORECASE)
_AVERAGE = re.compile(r"(^|_)(ema|swa|average|averaged)(_|$)", re.ASCII | re.IGNORECASE)


class Matched(NamedTuple):
    """Entries of a file under the names that a model has.

    Attributes:
        weights: what is the model's, or nobody's.
        counters: names of entries that count something and don't change the output.
        averages: what begins the names of moving averages beside the weights, such as "ema_model.".
        training: what begins the names of parts that training alone has, such as "criterion.".
    """

    weights: dict[str, Tensor]
    counters: tuple[str, ...]
    averages: tuple[str, ...]
    training: tuple[str, ...]


def drop_compiler_names(name: str) -> str:
    """Return a name without what torch's compiler adds to it."""
    return re.sub(rf"(^|(?<=\.)){re.escape(COMPILER)}", "", name)


def is_average(name: str) -> bool:
    """Say whether a name is that of a moving average: "ema_state_dict", "model_ema"."""
    return _AVERAGE.search(name) is not None


def is_counter(name: str) -> bool:
    """Say whether an entry counts something, and changes no output."""
    return name.rpartition(".")[2] in COUNTERS


def match_names(weights: Mapping[str, Tensor], wanted: Collection[str]) -> Matched:
    """Drop from the names of ``weights`` what wrappers put before those of a model, in any nesting.

    Args:
        weights: a file's tensors by name.
        wanted: the model's names; what they begin with is theirs.

    Raises:
        CheckpointError: a name is there with and without such a prefix.
    """
    prefix = _find_prefix(weights, wanted)
    twice = [name for name in weights if prefix and name.startswith(prefix) and name.removeprefix(prefix) in weights]
    twice = [name for name in twice if not is_counter(name)]
    if twice:
        raise CheckpointError(f"entries are there with and without the prefix '{prefix}': {list_names(twice)}",
                              "save the plain state dict with torch.save(model.state_dict(), file)")

    matched, counters, averages, training = {}, [], [], []
    parts = {name.partition(".")[0] for name in wanted}
    for name, value in weights.items():
        bare = name.removeprefix(prefix)
        if bare in wanted:
            matched[bare] = value
        elif is_counter(bare):
            counters.append(name)
        elif is_average(first := _drop_leading(name).partition(".")[0]):
            averages.append(name[: name.index(first)] + first + ".")
        elif _TRAINING.search(first) and first not in parts:
            training.append(name[: name.index(first)] + first + ".")
        else:
            matched[bare] = value
    return Matched(matched, tuple(counters), tuple(dict.fromkeys(averages)), tuple(dict.fromkeys(training)))


def find_common_prefix(names: Iterable[str]) -> str:
    """Return what all names begin with, up to a dot; nothing where there is none or one name alone."""
    names = list(names)
    common = os.path.commonprefix(names)
    return common[: common.rfind(".") + 1] if len(names) > 1 else ""


def _find_prefix(weights: Iterable[str], wanted: Collection[str]) -> str:
    """The wrappers' prefix without which most of the names are the model's; the shortest of several."""
    names = list(weights)
    prefixes = {prefix for name in names for prefix in _list_leading(name)}
    counts = {prefix: sum(name.startswith(prefix) and name.removeprefix(prefix) in wanted for name in names)
              for prefix in sorted(prefixes, key=len)}
    return max(counts, key=lambda prefix: counts[prefix], default="")


def _list_leading(name: str) -> list[str]:
    """What wrappers may have put before a name, from nothing on: "", "module.", "module.model."."""
    parts = [f"{part}." for part in name.split(".")[:-1]]
    leading = itertools.takewhile(lambda part: part in LEADING, parts)
    return ["", *itertools.accumulate(leading)]


def _drop_leading(name: str) -> str:
    return name.removeprefix(_list_leading(name)[-1])

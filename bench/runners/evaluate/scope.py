"""On which images a run measures, where those of the wanted set may not be here: what is stored needs none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import DatasetError
from bench.datasets import Dataset, DatasetIncomplete, describe_published, resolve_dataset
from bench.results.store import Store
from bench.runners.evaluate.own_sets import name_apart
from bench.runners.evaluate.plan import EvaluationPlan
from bench.runners.evaluate.unit import identify

SUBSTITUTE = "sample"  # its images come with the suite
GET_IMAGES = "python -m bench datasets fetch"

Planner = Callable[[Dataset, Sequence[CodecSpec]], EvaluationPlan]


@dataclass(frozen=True)
class Scope:
    """What a run measures and shows.

    Attributes:
        plan: what is measured; None where nothing is.
        datasets: names of those whose results are shown, the wanted one first.
        notice: what is said of images that are not here; empty where all are.
        fault: why they can't be had, in short; empty where none are needed.
    """

    plan: EvaluationPlan | None
    datasets: tuple[str, ...]
    notice: str = ""
    fault: str = ""


def choose_scope(name: str, specs: Sequence[CodecSpec], named: Collection[str], store: Store, make_plan: Planner, *,
                 allow_partial: bool = False) -> Scope:
    """Return what to measure for the set ``name``, or for the folder at that path.

    Images are fetched only where something has to be measured on them. Where not all of them can be had, what is stored
    is shown, and what is stored nowhere is measured on the embedded set. A part of a set needs ``allow_partial``.

    Args:
        specs: what is wanted.
        named: codecs that the user named; of the others only learned ones are measured on the embedded set.
        make_plan: for a set and some of ``specs``.
        allow_partial: take an incomplete or altered set as it is.

    Raises:
        BenchError: there is no such set or folder, or its images could neither be had nor be replaced.
    """
    published = None if allow_partial else describe_published(name)
    if published is not None:
        plan = make_plan(_find_here(name) or published, specs)
        if plan.dataset is not published:
            return Scope(plan, (name,))
        if not plan.pending:
            return Scope(plan, (name,), f"the images of {published.title} are not here, and nothing that is stored "
                                        f"needs them; to measure on them: {GET_IMAGES} {name}")
    try:
        dataset = name_apart(resolve_dataset(name, allow_partial=allow_partial), store)
    except DatasetError as error:
        return _replace_images(name, specs, named, store, make_plan, error)
    return Scope(make_plan(dataset, specs), (dataset.name,))


def _find_here(name: str) -> Dataset | None:
    """The whole set, if it is here already."""
    try:
        return resolve_dataset(name, fetch=False)
    except DatasetError:
        return None


def _replace_images(name: str, specs: Sequence[CodecSpec], named: Collection[str], store: Store, make_plan: Planner,
                    error: DatasetError) -> Scope:
    stored = {row.series for row in store.read(name)}
    if not stored and not isinstance(error, DatasetIncomplete):
        raise error

    fault = f"{name}: {error.gap}" if isinstance(error, DatasetIncomplete) else str(error)
    remedy = _describe_remedy(name, error)
    if not stored:
        plan = make_plan(_find_substitute(error), specs)
        return Scope(plan, (SUBSTITUTE, name), f"nothing of '{name}' is stored, and its images can't all be had here: "
                                               f"this is the embedded set '{SUBSTITUTE}' ({plan.dataset.coverage}) in "
                                               f"its place, beside what is published; {remedy}", fault)
    new = [spec for spec in specs if identify(spec).digest not in stored
           and (spec.name in named or CODECS.get(spec.codec).uses_torch)]
    notice = f"the images of '{name}' can't all be had here: this is what is stored of it"
    if not new:
        return Scope(None, (name,), f"{notice}, which needs none; to measure something new, {remedy}", fault)
    names = ", ".join(dict.fromkeys(spec.name for spec in new))
    notice += f"; {names}, of which nothing is stored, is measured on the embedded set '{SUBSTITUTE}'; {remedy}"
    return Scope(make_plan(_find_substitute(error), new), (name, SUBSTITUTE), notice, fault)


def _describe_remedy(name: str, error: DatasetError) -> str:
    """How to get the images; `datasets fetch` also says where they were looked for."""
    text = f"how to get them: {GET_IMAGES} {name}"
    here = error.here if isinstance(error, DatasetIncomplete) else 0
    return f"{text}; --allow-partial measures on the {here} that {'is' if here == 1 else 'are'} here" if here else text


def _find_substitute(error: DatasetError) -> Dataset:
    """The embedded set; where that can't be had either, what is wrong with the wanted one is said in full."""
    try:
        return resolve_dataset(SUBSTITUTE)
    except DatasetError:
        raise error from None

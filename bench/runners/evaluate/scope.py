"""On which images a run measures, where those of the wanted set may not be here: what is stored needs none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.codecs.base import CODECS, CodecSpec
from bench.common.errors import DatasetError
from bench.datasets import Dataset, DatasetUnavailable, describe_published, resolve_dataset
from bench.results.store import Store
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
        fault: why they can't be had, and how to get them; empty where none are needed.
    """

    plan: EvaluationPlan | None
    datasets: tuple[str, ...]
    notice: str = ""
    fault: str = ""


def choose_scope(name: str, specs: Sequence[CodecSpec], named: Collection[str], store: Store, make_plan: Planner, *,
                 allow_partial: bool = False) -> Scope:
    """Return what to measure for the set ``name``, or for the folder at that path.

    Images are fetched only where something has to be measured on them. Where they can't be had, what is stored is
    shown, and what is stored nowhere is measured on the embedded set.

    Args:
        specs: what is wanted.
        named: codecs that the user named; of the others only learned ones are measured on the embedded set.
        make_plan: for a set and some of ``specs``.
        allow_partial: take an incomplete or altered set as it is.

    Raises:
        BenchError: there is no such set or folder, or it is incomplete and nothing of it is stored.
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
        dataset = resolve_dataset(name, allow_partial=allow_partial)
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
    if not stored and not isinstance(error, DatasetUnavailable):
        raise error

    fault = str(error)
    if not stored:
        plan = make_plan(resolve_dataset(SUBSTITUTE), specs)
        return Scope(plan, (SUBSTITUTE, name), f"'{name}' can't be had here and nothing of it is stored: this is the "
                                               f"embedded set '{SUBSTITUTE}' ({plan.dataset.coverage}) in its place",
                     fault)
    new = [spec for spec in specs if identify(spec).digest not in stored
           and (spec.name in named or CODECS.get(spec.codec).uses_torch)]
    notice = f"the images of '{name}' can't be had here: this is what is stored of it"
    if not new:
        return Scope(None, (name,), f"{notice}, which needs none; they are needed to measure something new", fault)
    names = ", ".join(dict.fromkeys(spec.name for spec in new))
    notice += f"; {names}, of which nothing is stored, is measured on the embedded set '{SUBSTITUTE}'"
    return Scope(make_plan(resolve_dataset(SUBSTITUTE), new), (name, SUBSTITUTE), notice, fault)

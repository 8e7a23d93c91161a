"""Lists, verifies and fetches image sets."""

from __future__ import annotations

import argparse
from pathlib import Path

from tabulate import tabulate

from bench.common.errors import EXIT_DONE, EXIT_INCOMPLETE, ImageError
from bench.datasets import Dataset, load_catalogue, read_rgb8, resolve_dataset
from bench.datasets.catalogue import DatasetSpec
from bench.datasets.locate import BY_PIXELS, find_copy


def run(args: argparse.Namespace) -> int:
    """Carry out one action; return the exit status."""
    if args.action == "list":
        return _list_sets()
    if args.action == "fetch":
        for name in args.names:
            dataset = resolve_dataset(name)
            print(f"{dataset.name}: {dataset.coverage} in {dataset.root}")
        return EXIT_DONE

    catalogue = load_catalogue()
    right = [_verify_set(catalogue[name]) if name in catalogue
             else _verify_folder(resolve_dataset(name, catalogue=catalogue)) for name in args.names or catalogue]
    return EXIT_DONE if all(right) else EXIT_INCOMPLETE


def _list_sets() -> int:
    rows = [("name", "images", "state", "licence", "where")]
    for spec in load_catalogue().values():
        location = find_copy(spec)
        total = len(spec.images)
        if location is None:
            rows.append((spec.name, f"0 of {total}", "absent", spec.licence, "-"))
            continue
        counts = {word: len(location.named(word)) for word in ("missing", "altered", "unpinned", "verified", BY_PIXELS)}
        state = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        rows.append((spec.name, f"{total - counts['missing']} of {total}", state, spec.licence,
                     str(location.folder)))
    print(tabulate(rows, tablefmt="plain", disable_numparse=True))
    return EXIT_DONE


def _verify_set(spec: DatasetSpec) -> bool:
    """Print each image's state; return whether the set is complete and readable."""
    location = find_copy(spec)
    if location is None:
        print(f"{spec.name}: not here, {len(spec.images)} images missing")
        return False
    print(f"{spec.name}: {spec.title}, in {location.folder}")
    faults = 0
    for state in location.states:
        word, fault = state.word, state.fault
        if word == "unpinned" and state.path is not None and (fault := _unreadable(state.path)):
            word = "unreadable"
        faults += fault is not None
        _print_state(state.spec.name, word, fault)
    print(f"{spec.name}: {location.good} of {len(location.states)} images right"
          + (f", {faults} with a fault" if faults else ""))
    return location.complete and not faults


def _verify_folder(dataset: Dataset) -> bool:
    print(f"{dataset.name}: {dataset.coverage} in {dataset.root}, no checksums are known")
    faults = [_unreadable(image.path) for image in dataset.images]
    for image, fault in zip(dataset.images, faults):
        _print_state(image.name, "unreadable" if fault else "readable", fault)
    return not any(faults)


def _unreadable(path: Path) -> str | None:
    """Return why an image can't be evaluated, or None."""
    try:
        read_rgb8(path)
    except ImageError as error:
        return str(error).replace("\n ", ";")
    return None


def _print_state(name: str, word: str, fault: str | None) -> None:
    print(f"  {word:<10}  {name}" + (f"  ({fault})" if fault else ""))

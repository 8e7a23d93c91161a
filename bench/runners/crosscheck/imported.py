"""Plans to decode an exported folder with codecs that are here: found by name, and compared by identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.codecs.base import CodecSpec
from bench.common.errors import BenchError
from bench.common.hashing import digest_json
from bench.runners.crosscheck.exchange import CodedUnit, Manifest, WrongExport
from bench.runners.crosscheck.options import choose_coded
from bench.runners.crosscheck.plan import PlannedUnit, Planner
from bench.runners.evaluate.unit import LIBRARY_VERSIONS, Unit, UnitImage, identify


def plan_import(folder: Path, manifest: Manifest, planner: Planner,
                template: Unit) -> tuple[tuple[PlannedUnit, ...], tuple[str, ...]]:
    """Return what is to be decoded, and what is left out and why.

    Args:
        template: a unit whose run-time options all units take.

    Raises:
        WrongExport: nothing of it can be decoded here, or a picture is named twice.
    """
    units, left_out = [], []
    for coded in manifest.units:
        try:
            spec = _find_codec(coded)
        except BenchError as error:
            left_out.append(f"{coded.name} {coded.point}: {error}")
            continue

        images = tuple(UnitImage(file.image, "", file.image_sha256) for file in coded.files)
        sizes = {file.image: file.width * file.height / 1e6 for file in coded.files}
        if len(sizes) < len(images):
            raise WrongExport(f"{folder}: {coded.name} {coded.point} has a picture twice", "export it again")
        if images:
            units.append(planner.plan_unit(replace(template, spec=spec, dataset=manifest.dataset, images=images),
                                           coded, sizes))
    if not units:
        raise WrongExport(f"nothing of {folder} can be decoded here", "\n  ".join(left_out) or "it holds no files")
    return tuple(units), tuple(left_out)


def _find_codec(coded: CodedUnit) -> CodecSpec:
    """Return the codec here that files of ``coded`` are of.

    Raises:
        BenchError: there is none, or it has other weights, settings, or code.
    """
    chosen = choose_coded([coded.name], [coded.point], exact=coded.exact, version=coded.format)
    spec = chosen.specs[0]
    here = identify(spec)
    if here.fault is not None:
        raise BenchError(here.fault)
    differing = _compare_identities(coded.identity, here.values)
    if differing:
        raise BenchError(f"what is here is not what coded it: other {', '.join(differing)}")
    return spec


def _compare_identities(coded: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Name what differs, beside versions of libraries."""
    names = [name for name in {**coded, **here} if name not in LIBRARY_VERSIONS]
    return [name for name in names
            if digest_json({"of": coded.get(name)}) != digest_json({"of": here.get(name)})]

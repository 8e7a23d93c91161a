"""The published curves that come with the suite, and which of them is a dataset's VVC anchor."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from bench.common.errors import ConfigurationError
from bench.common.files import match_files
from bench.common.text import suggest_name
from bench.curves.anchors.compressai_json import parse_json
from bench.curves.anchors.curve_files import SUFFIXES, read_curve_file
from bench.curves.rd_curve import RDCurve
from bench.datasets.catalogue import AnchorSpec, PublishedSpec, load_catalogue

DATA = Path(__file__).parent / "data"
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def find_published(dataset: str) -> PublishedSpec:
    """Return what datasets.yaml says of the curves published on ``dataset``; of no curve where it is not there.

    Args:
        dataset: a name in datasets.yaml or any other.
    """
    spec = load_catalogue().get(dataset)
    return spec.published if spec else PublishedSpec()


def list_anchors(dataset: str) -> tuple[AnchorSpec, ...]:
    """Return the VVC anchors of a dataset of the suite, the default first; empty where none is published.

    Args:
        dataset: a name in datasets.yaml.
    """
    return find_published(dataset).anchors


def load_anchor(dataset: str, anchor: AnchorSpec) -> RDCurve:
    """Return an anchor's published curve under its label, only with the points of its ``qps``.

    Args:
        dataset: a name in datasets.yaml.
        anchor: one of :func:`list_anchors`.

    Returns:
        Averages over the dataset: bpp, and qualities as the file states them.

    Raises:
        ConfigurationError: there is no such curve.
    """
    curve = replace(load_curve(dataset, anchor.name), label=anchor.label)
    if anchor.qps is None:
        return curve
    least, most = anchor.qps
    written = curve.meta["qp"]
    chosen = [index for index, qp in enumerate(written) if least <= qp <= most]
    remark = f"QP {least} to {most} of the published {min(written)} to {max(written)}"
    meta = {**curve.meta, "qp": [written[index] for index in chosen]}
    return replace(curve, points=curve.points.take(chosen), meta=meta, remarks=(remark,))


def find_folders() -> dict[str, str]:
    """Return the datasets of the suite that have published curves, and the folders of these."""
    return {name: spec.published.folder for name, spec in load_catalogue().items() if spec.published.folder}


def list_folders() -> list[str]:
    """Return the folders of published curves; :func:`load_curve` takes them and the suite's dataset names."""
    return sorted(folder.name for folder in DATA.iterdir() if folder.is_dir())


def list_curves(dataset: str) -> list[str]:
    """Return the names of the curves published on ``dataset``; empty if there are none.

    Args:
        dataset: a name in datasets.yaml, or one of :func:`list_folders`.
    """
    folder = DATA / find_folders().get(dataset, dataset)
    if not SAFE_NAME.fullmatch(dataset) or not folder.is_dir():
        return []
    return sorted(file.name[: -len(".json")] for file in folder.iterdir() if file.name.endswith(".json"))


def load_curve(dataset: str, name: str) -> RDCurve:
    """Load a published curve.

    Args:
        dataset: a name in datasets.yaml, or one of :func:`list_folders`.
        name: one of :func:`list_curves`.

    Returns:
        Averages, with those of single images where the file has them.

    Raises:
        ConfigurationError: there is none of that name; the message names the nearest ones.
    """
    known = list_curves(dataset)
    if not known:
        known_sets = [*find_folders(), *list_folders()]
        raise ConfigurationError(f"there are no published curves of dataset '{dataset}'",
                                 suggest_name(dataset, known_sets, f"there are some of: {', '.join(known_sets)}"))
    if name not in known:
        raise ConfigurationError(f"there is no published curve '{name}' of dataset '{dataset}'",
                                 suggest_name(name, known, f"python -m bench anchors list {dataset}"))
    folder = find_folders().get(dataset, dataset)
    text = (DATA / folder / f"{name}.json").read_text(encoding="utf-8")
    return parse_json(text, f"{folder}/{name}", name, dataset)


def place_imported(results: Path, dataset: str, name: str) -> Path:
    """Return where a curve that the user imports is kept.

    Args:
        results: folder of stored rows.
        dataset: name of a dataset, as rows have it.
        name: short name of the curve.

    Raises:
        ConfigurationError: a name is not one plain file name.
    """
    for text in (dataset, name):
        if not SAFE_NAME.fullmatch(text):
            hint = "use letters, digits, '.', '_' and '-'"
            raise ConfigurationError(f"'{text}' can't be a file name", hint)
    return results / dataset / "published" / f"{name}.json"


def read_imported(results: Path, dataset: str) -> list[RDCurve]:
    """Return the curves of ``dataset`` that the user imported under ``results``, by name.

    Args:
        results: folder of stored rows.
        dataset: name of a dataset, as rows have it.

    Raises:
        BenchError: one of the files is damaged.
    """
    paths = match_files(results / dataset / "published", "[!.]*")
    return [read_curve_file(path, dataset) for path in paths if path.suffix.lower() in SUFFIXES]

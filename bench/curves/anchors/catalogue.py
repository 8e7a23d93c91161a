"""The published curves that come with the suite, and which of them is a dataset's VVC anchor."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from bench.common.errors import ConfigurationError
from bench.curves.anchors.compressai_json import parse_json, read_json
from bench.curves.rd_curve import RDCurve

FOLDERS = {"kodak": "kodak", "clic2020": "clic2020-pro-valid", "tecnick": "tecnick-rgb-1200"}
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Anchor:
    """A VVC curve that a dataset's codecs are compared with.

    Attributes:
        dataset: name of the suite's dataset.
        name: the published curve.
        role: "default", or "strict" for the one shown beside it.
        label: what tables call it.
        convention: exactly which encoder, colours and scoring.
        qps: smallest and largest QP used; None for all. A range far beyond that of the codecs compared would
            make the overlap look small although it is complete.
    """

    dataset: str
    name: str
    role: str
    label: str
    convention: str
    qps: tuple[int, int] | None = None

    def load(self) -> RDCurve:
        """Return the published curve under this label, only with the points of ``qps``."""
        curve = replace(load(self.dataset, self.name), label=self.label)
        if self.qps is None:
            return curve
        written = curve.meta["qp"]
        chosen = [index for index, qp in enumerate(written) if self.qps[0] <= qp <= self.qps[1]]
        remark = f"QP {self.qps[0]} to {self.qps[1]} of the published {min(written)} to {max(written)}"
        meta = {**curve.meta, "qp": [written[index] for index in chosen]}
        return replace(curve, points=curve.points.take(chosen), meta=meta, remarks=(remark,))


_MEASURED = ("encoder_intra_vtm.cfg, BT.709 full-range YCbCr 4:4:4 rounded to {depth}-bit planes in and out, "
             "internal 10-bit; PSNR and MS-SSIM in dB of each image on 8-bit RGB, then the mean; "
             "bpp from the file; QP 22 to 42")
ANCHORS = (
    Anchor("kodak", "vtm-22.2-measured-8bit", "default", "VTM 22.2 intra (8-bit 4:4:4 planes)",
           f"VTM 22.2, {_MEASURED.format(depth=8)}"),
    Anchor("kodak", "vtm-22.2-measured-10bit", "strict", "VTM 22.2 intra (10-bit 4:4:4 planes)",
           f"VTM 22.2, {_MEASURED.format(depth=10)}"),
    Anchor("clic2020", "vtm-17.0-mlic", "default", "VTM 17.0 intra (published by MLIC's author)",
           "VTM 17.0, YUV 4:4:4 according to the MLIC papers, QPs not stated; PSNR of each image, "
           "then the mean"),
    Anchor("tecnick", "vtm-18.0-lossyvae", "default", "VTM 18.0 intra (published by lossy-vae)",
           "VTM 18.0, encoder_intra_vtm.cfg, 8-bit YUV 4:4:4 by OpenCV in and out; bpp and PSNR of each "
           "image, then the mean; bpp from the file; QP 22 to 42", (22, 42)),
)


def anchors(dataset: str) -> tuple[Anchor, ...]:
    """Return the VVC anchors of a dataset of the suite, the default first; empty where none is published."""
    return tuple(anchor for anchor in ANCHORS if anchor.dataset == dataset)


def datasets() -> list[str]:
    """Return the folders of published curves; :func:`load` takes them and the suite's dataset names."""
    return sorted(folder.name for folder in _data().iterdir() if folder.is_dir())


def names(dataset: str) -> list[str]:
    """Return the names of the curves published on ``dataset``; empty if there are none."""
    folder = _data() / FOLDERS.get(dataset, dataset)
    if not SAFE_NAME.fullmatch(dataset) or not folder.is_dir():
        return []
    return sorted(file.name[: -len(".json")] for file in folder.iterdir() if file.name.endswith(".json"))


def load(dataset: str, name: str) -> RDCurve:
    """Load a published curve.

    Raises:
        ConfigurationError: there is none of that name; the message names the nearest ones.
    """
    known = names(dataset)
    if not known:
        raise ConfigurationError(f"there are no published curves of dataset '{dataset}'",
                                 f"there are some of: {', '.join([*FOLDERS, *datasets()])}")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"python -m bench anchors list {dataset}"
        raise ConfigurationError(f"there is no published curve '{name}' of dataset '{dataset}'", hint)
    folder = FOLDERS.get(dataset, dataset)
    text = (_data() / folder / f"{name}.json").read_text(encoding="utf-8")
    return parse_json(text, f"{folder}/{name}", name, dataset)


def imported_path(results: Path, dataset: str, name: str) -> Path:
    """Return where a curve that the user imports is kept.

    Raises:
        ConfigurationError: a name is not one plain file name.
    """
    for text in (dataset, name):
        if not SAFE_NAME.fullmatch(text):
            hint = "use letters, digits, '.', '_' and '-'"
            raise ConfigurationError(f"'{text}' can't be a file name", hint)
    return results / dataset / "published" / f"{name}.json"


def imported(results: Path, dataset: str) -> list[RDCurve]:
    """Return the curves of ``dataset`` that the user imported under ``results``, by name.

    Raises:
        BenchError: one of the files is damaged.
    """
    return [read_json(path, dataset) for path in sorted((results / dataset / "published").glob("*.json"))]


def _data() -> Path:
    return Path(__file__).parent / "data"

"""Rows of crosschecks made by hand, with counts that can be done in the head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.common.hashing import digest_json
from bench.results.crosschecks import FAILED, IDENTICAL, LATENTS, OFF_BY_ONE, WRONG, Crosscheck, crosscheck_key
from bench.results.rows import Provenance

MACHINE = Provenance(device="cpu: Test <CPU> & Co", instructions="AVX2", system="Linux x86_64",
                     libraries={"torch": "2.11.0", "numpy": "2.2"}, operators="biwkv C++ b1cc1c87", threads=1)
ENCODER = "cpu: Test <CPU> & Co, AVX2"
SETTINGS = ("aten-default", "onednn-sse41", "scalar")
IMAGES = tuple(f"kodim{number:02}.png" for number in range(1, 7))
POINTS = ("0.0018", "0.0035", "0.0067", "0.013")  # with six images 24 files
OUTCOMES: dict[str, dict[str, Any]] = {
    IDENTICAL: {"decode_max_abs_difference": 0, "pixels_differing": 0, "latents_match": True},
    OFF_BY_ONE: {"decode_max_abs_difference": 1, "pixels_differing": 7, "latents_match": True},
    LATENTS: {"decode_max_abs_difference": 3, "pixels_differing": 70, "latents_match": True},
    FAILED: {"failure": "LatentsMismatch", "reason": "the latents are others than were coded"},
    WRONG: {"decode_max_abs_difference": 90, "pixels_differing": 5000, "latents_match": False},
}


def make_row(outcome: str = IDENTICAL, *, name: str = "hpcm_base_mini", point: str = POINTS[0], image: str = IMAGES[0],
             setting: str = SETTINGS[0], exact: bool = False, version: int | None = 2, dataset: str = "kodak",
             **values: Any) -> Crosscheck:
    """One decoding that came out as ``outcome``."""
    series = digest_json({"name": name, "point": point, "exact": exact, "version": version})
    sha256 = digest_json({"image": image})
    given = {
        "key": crosscheck_key(series, dataset, image, sha256, exact=exact, version=version), "series": series,
        "dataset": dataset, "image": image, "image_sha256": sha256, "name": f"{name}_exact" if exact else name,
        "label": f"{name.upper()}{', exact' if exact else ''}", "point": point, "miniature": name.endswith("_mini"),
        "exact": exact, "format": version, "stream_sha256": digest_json([series, image]), "encoder_machine": ENCODER,
        "decoder_setting": setting, "checked": version == 2, "pixels_total": 393216, "provenance": MACHINE,
        "code_version": "0.1", "measured_at": "2026-11-30T20:00:00+00:00", **OUTCOMES[outcome]}
    return Crosscheck(**{**given, **values})


def make_rows(outcomes: Sequence[str] = (), settings: Sequence[str] = SETTINGS, images: Sequence[str] = IMAGES,
              **values: Any) -> list[Crosscheck]:
    """Rows of every image and point under each of ``settings``: as ``outcomes`` say one after the other, then alike."""
    ways = [(setting, image, point) for setting in settings for image in images for point in POINTS]
    padded = [*outcomes, *[IDENTICAL] * (len(ways) - len(outcomes))]
    return [make_row(outcome, setting=setting, image=image, point=point, **values)
            for outcome, (setting, image, point) in zip(padded, ways)]


def store(results: Path, rows: Sequence[Crosscheck]) -> Path:
    """Write ``rows`` to files as the suite does, and return the folder of results."""
    for row in rows:
        path = results / "crosscheck" / row.dataset / f"{row.name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(row.to_json() + "\n")
    return results

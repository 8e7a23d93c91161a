"""What a profile would do: at which sizes, which variants in turns with each other, how long it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from bench.codecs.learned import make_spec
from bench.common.errors import ConfigurationError
from bench.common.hashing import digest_json, sha256_of
from bench.common.text import align_columns, format_duration
from bench.datasets import read_rgb8
from bench.models import create_model
from bench.results.latency_rows import DIRECTIONS
from bench.results.latency_selection import BASE
from bench.runners.evaluate.previews import describe_preview, preview_codec
from bench.runners.forecast import LOAD_OF_SHORT, Forecast, Kind
from bench.runners.machine import code_version
from bench.runners.profile.expected import BUILDING, PASSES, ProfileTimes
from bench.runners.profile.protocol import Protocol
from bench.runners.profile.subjects import Subject, identify_subject, make_picture

BYTES_PER_PIXEL = 12_000  # that a pass takes at its peak: the largest of all variants, rounded up
HOST_BYTES = 2_000_000_000  # of the process without models, with room to spare
SHARE_OF_MEMORY = 0.8


@dataclass(frozen=True)
class Picture:
    """What is coded: a photograph at a size, or an image in its own size."""

    width: int
    height: int
    file: Path | None = None

    @property
    def megapixels(self) -> float:
        """Of one image."""
        return self.width * self.height / 1e6

    def make_images(self, batch: int) -> list[np.ndarray]:
        """The 8-bit images of a pass."""
        if self.file is not None:
            return [read_rgb8(self.file)] * batch
        return [make_picture(self.width, self.height, number) for number in range(batch)]

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Settings:
    """How everything is measured.

    Attributes:
        groups: how many groups are measured one after another; they share the budget of sampling evenly, and the
            pictures of each by their size.
        torch: arguments of :func:`bench.runners.machine.configure_torch`.
    """

    device: str
    pictures: tuple[Picture, ...]
    batch: int = 1
    protocol: Protocol = Protocol()
    torch: dict[str, Any] | None = None
    groups: int = 1

    def protocol_for(self, picture: Picture) -> Protocol:
        """The protocol with this picture's part of the budget."""
        share = picture.megapixels / sum(one.megapixels for one in self.pictures) / self.groups
        return replace(self.protocol, budget_s=self.protocol.budget_s * share)


def row_identity(subject: Subject, picture: Picture, direction: str, settings: Settings,
                 device_name: str) -> dict[str, Any]:
    """What a row's key is the digest of."""
    return {
        **identify_subject(subject, settings.device), "direction": direction, "device": device_name,
        "width": picture.width, "height": picture.height, "batch": settings.batch,
        "image": "photograph" if picture.file is None else picture.file.name, **(settings.torch or {}),
        "image_sha256": None if picture.file is None else sha256_of(picture.file), "code_version": code_version(),
    }


def group_subjects(subjects: Sequence[Subject], settings: Settings) -> list[list[Subject]]:
    """Return which subjects are timed in turns: all where they fit into memory together, else pairs with the baseline.
    """
    largest = max(picture.width * picture.height for picture in settings.pictures)
    needed = sum(map(_weights_bytes, subjects)) + 2 * BYTES_PER_PIXEL * largest  # padding takes up to as much again
    if needed < _free_bytes(settings.device):
        return [list(subjects)]

    baseline = next((subject for subject in subjects if subject.name == BASE), None)
    others = [subject for subject in subjects if subject is not baseline]
    if baseline is None:
        return [[subject] for subject in others]
    return [[baseline, subject] for subject in others]


def _free_bytes(device: str) -> float:
    """What models and their passes may take of the device's free memory."""
    if device == "cpu":
        return SHARE_OF_MEMORY * psutil.virtual_memory().available - HOST_BYTES
    return SHARE_OF_MEMORY * torch.cuda.mem_get_info()[0]


def _weights_bytes(subject: Subject) -> int:
    """Bytes of a subject's parameters; 0 where the model can't be built, which is then found out."""
    try:
        with torch.device("meta"):
            model = create_model(subject.variant.model, **subject.options)
    except Exception:
        return 0
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def select_pending(subjects: Sequence[Subject], settings: Settings, device_name: str,
                   done: Iterable[str]) -> list[Subject]:
    """Leave out the subjects whose rows are all among the keys ``done``; the baseline stays if anything does."""
    stored = set(done)

    def is_stored(subject: Subject) -> bool:
        return all(digest_json(row_identity(subject, picture, direction, settings, device_name)) in stored
                   for picture in settings.pictures for direction in DIRECTIONS)

    left = [subject for subject in subjects if not is_stored(subject)]
    return [subject for subject in subjects if subject in left or (left and subject.name == BASE)]


def make_forecast(groups: Sequence[Sequence[Subject]], settings: Settings, times: ProfileTimes) -> Forecast:
    """Return a forecast of all groups, of which nothing is done yet."""
    forecast = Forecast(load=LOAD_OF_SHORT)
    for group in groups:
        expect_group(forecast, group, settings.pictures, settings, times)
    return forecast


def expect_group(forecast: Forecast, group: Sequence[Subject], pictures: Sequence[Picture], settings: Settings,
                 times: ProfileTimes) -> None:
    """Enter into a forecast what a group is expected to take."""
    for subject in group:
        forecast.expect(find_building_kind(subject, times), expect_build(subject, times))
    for (subject, picture), seconds in expect_passes(group, pictures, settings, times).items():
        forecast.expect(find_kind(subject, picture, times), seconds)


def expect_build(subject: Subject, times: ProfileTimes) -> float:
    """Seconds that building a subject's codec is expected to take."""
    return times.expect_build(subject.name, subject.checkpoint is None)


def expect_passes(group: Sequence[Subject], pictures: Sequence[Picture], settings: Settings,
                  times: ProfileTimes) -> dict[tuple[Subject, Picture], float]:
    """Seconds that all passes of each subject of a group over each picture are expected to take."""
    seconds = {}
    for picture in pictures:
        protocol = settings.protocol_for(picture)
        round_s = len(DIRECTIONS) * sum(expect_pass(subject, picture, settings, times) for subject in group)
        rounds = max(protocol.least, min(protocol.repeats, protocol.budget_s / round_s))
        for subject in group:
            megapixels = picture.megapixels * settings.batch
            seconds[subject, picture] = times.expect_passes(subject.name, megapixels, rounds, protocol)
    return seconds


def expect_pass(subject: Subject, picture: Picture, settings: Settings, times: ProfileTimes) -> float:
    """Seconds that one pass in one direction is expected to take."""
    return times.expect_pass(subject.name, picture.megapixels * settings.batch)


def find_building_kind(subject: Subject, times: ProfileTimes) -> Kind:
    """The kind of work that building a subject's codec is."""
    return times.find_kind(subject.name, f"{subject.title}: building", BUILDING)


def find_kind(subject: Subject, picture: Picture, times: ProfileTimes) -> Kind:
    """The kind of work that a subject's passes over a picture are."""
    return times.find_kind(subject.name, f"{subject.title} {picture}", PASSES)


def describe_plan(groups: Sequence[Sequence[Subject]], settings: Settings, device_name: str,
                  times: ProfileTimes) -> str:
    """Return the plan as text."""
    subjects = [subject for group in groups for subject in group]
    protocol = settings.protocol
    rows = [("variant", "configuration", "weights"),
            *dict.fromkeys((one.name, one.configuration, one.weights) for one in subjects)]
    pictures = ", ".join(str(one) + (f" ({one.file.name})" if one.file else "") for one in settings.pictures)
    turns = "all in turns" if len(groups) == 1 else f"in turns with {BASE}, in {len(groups)} groups"
    budget = "" if protocol.budget_s == float("inf") else f" or {format_duration(protocol.budget_s)} of sampling"
    expected_s = make_forecast(groups, settings, times).left_s()
    return "\n".join([
        f"profile on {device_name}, {torch.get_num_threads()} threads: {pictures}; batch {settings.batch}; {turns};"
        f" {protocol.repeats} repeats{budget}, at least {protocol.least}",
        *align_columns(rows, left=3), *_preview_subjects(subjects),
        f"expected time: about {format_duration(expected_s)}",
    ])


def _preview_subjects(subjects: Iterable[Subject]) -> list[str]:
    """Say of checkpoints what can be told before they are loaded: that they don't fit."""
    chosen = {(one.name, one.weights): make_spec(one.variant, one.lambda_, one.checkpoint) for one in subjects
              if one.checkpoint is not None}
    return [line for spec in chosen.values()
            for line in describe_preview(f"{spec.name} {spec.point}", preview_codec(spec))]


def parse_picture(text: str) -> Picture:
    """Return a picture of the size "768x512", width first.

    Raises:
        ConfigurationError: it is none.
    """
    sides = re.fullmatch(r"\s*0*([1-9]\d*)[xX]0*([1-9]\d*)\s*", text)
    if not sides:
        raise ConfigurationError(f"'{text}' is no shape", "write width x height, such as 768x512")
    return Picture(int(sides[1]), int(sides[2]))

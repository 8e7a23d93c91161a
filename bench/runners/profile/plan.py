"""What a profile would do: at which sizes, which variants in turns with each other, how long it takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from bench.common.errors import ConfigurationError
from bench.common.hashing import sha256_of
from bench.common.text import align, duration
from bench.models import create
from bench.results.latency_rows import DECODE, ENCODE
from bench.results.schema import digest
from bench.runners.machine import code_version
from bench.runners.profile.protocol import Protocol
from bench.runners.profile.subjects import BASELINE, Subject, identity_of, picture

DIRECTIONS = (ENCODE, DECODE)
BYTES_PER_PIXEL = 12_000  # that a pass takes at its peak: the largest of all variants, rounded up
HOST_BYTES = 2_000_000_000  # of the process without models, with room to spare
SHARE_OF_MEMORY = 0.8
CORE_SECONDS_PER_MEGAPIXEL = 18.0  # of a pass in one direction
GPU_SECONDS_PER_MEGAPIXEL = 0.08
BUILD_CORE_SECONDS = 10.0
EXTRA_ROUNDS = 5.0  # first call, check, stages, memory and operations, warm-up

@dataclass(frozen=True)
class Frame:
    """A size at which everything is measured, or an image in its own size."""

    width: int
    height: int
    file: Path | None = None

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    def images(self, batch: int) -> list[np.ndarray]:
        return [picture(self.width, self.height, number, self.file) for number in range(batch)]

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Settings:
    """How everything is measured.

    Attributes:
        groups: how many groups are measured one after another; they share the budget of sampling evenly, and the
            frames of each by their size.
        torch: arguments of :func:`bench.runners.machine.configure_torch`.
    """

    device: str
    frames: tuple[Frame, ...]
    batch: int = 1
    protocol: Protocol = Protocol()
    torch: dict[str, Any] | None = None
    groups: int = 1

    def protocol_at(self, frame: Frame) -> Protocol:
        share = frame.megapixels / sum(one.megapixels for one in self.frames) / self.groups
        return Protocol(self.protocol.repeats, self.protocol.budget_s * share, self.protocol.least,
                        self.protocol.warmup_s, self.protocol.warmup_calls)


def row_identity(subject: Subject, frame: Frame, direction: str, settings: Settings,
                 device_name: str) -> dict[str, Any]:
    """What a row's key is the digest of."""
    return {
        **identity_of(subject, settings.device), "direction": direction, "device": device_name,
        "width": frame.width, "height": frame.height, "batch": settings.batch,
        "image": "photograph" if frame.file is None else frame.file.name, **(settings.torch or {}),
        "image_sha256": None if frame.file is None else sha256_of(frame.file), "code_version": code_version(),
    }



def groups_of(subjects: Sequence[Subject], settings: Settings) -> list[list[Subject]]:
    """Return which subjects are timed in turns: all where they fit into memory together, else pairs with the baseline.
    """
    if fits(subjects, settings):
        return [list(subjects)]
    baseline = next((subject for subject in subjects if subject.name == BASELINE), None)
    others = [subject for subject in subjects if subject is not baseline]
    if baseline is None:
        return [[subject] for subject in others]
    return [[baseline, subject] for subject in others]


def fits(subjects: Sequence[Subject], settings: Settings) -> bool:
    """Whether the weights of all subjects and one pass fit into the device's free memory."""
    largest = max(frame.width * frame.height for frame in settings.frames)
    needed = sum(map(_weights_bytes, subjects)) + 2 * BYTES_PER_PIXEL * largest  # padding takes up to as much again
    if settings.device == "cpu":
        return needed + HOST_BYTES < SHARE_OF_MEMORY * psutil.virtual_memory().available
    return needed < SHARE_OF_MEMORY * torch.cuda.mem_get_info()[0]


def _weights_bytes(subject: Subject) -> int:
    """Bytes of a subject's parameters; 0 where the model can't be built, which is then found out."""
    settings = subject.spec.settings
    try:
        with torch.device("meta"):
            model = create(settings["model"], **settings["options"])
    except Exception:
        return 0
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def pending(subjects: Sequence[Subject], settings: Settings, device_name: str, done: Iterable[str]) -> list[Subject]:
    """Leave out the subjects whose rows are all among the keys ``done``; the baseline stays if anything does."""
    done = set(done)
    left = [subject for subject in subjects if any(
        digest(row_identity(subject, frame, direction, settings, device_name)) not in done
        for frame in settings.frames for direction in DIRECTIONS)]
    return [subject for subject in subjects if subject in left or (left and subject.name == BASELINE)]


def expected_s(subjects: int, settings: Settings) -> float:
    """Seconds that so many subjects are expected to take."""
    return subjects * build_s() + sum(
        EXTRA_ROUNDS * round_s(subjects, frame, settings) + sampling_s(subjects, frame, settings)
        for frame in settings.frames)


def total_s(groups: Sequence[Sequence[Subject]], settings: Settings) -> float:
    """Seconds that all groups are expected to take."""
    return sum(expected_s(len(group), settings) for group in groups)


def sampling_s(subjects: int, frame: Frame, settings: Settings) -> float:
    """Seconds that sampling so many subjects at a frame is expected to take."""
    protocol, one_round_s = settings.protocol_at(frame), round_s(subjects, frame, settings)
    return max(protocol.least * one_round_s, min(protocol.repeats * one_round_s, protocol.budget_s))


def round_s(subjects: int, frame: Frame, settings: Settings) -> float:
    """Seconds that one pass of each subject in each direction is expected to take."""
    return len(DIRECTIONS) * subjects * pass_s(frame, settings)


def pass_s(frame: Frame, settings: Settings) -> float:
    """Seconds that one pass in one direction is expected to take."""
    if settings.device == "cuda":
        return GPU_SECONDS_PER_MEGAPIXEL * frame.megapixels * settings.batch
    return CORE_SECONDS_PER_MEGAPIXEL * frame.megapixels * settings.batch / _cores()


def build_s() -> float:
    """Seconds that a model and its synthetic weights are expected to take."""
    return BUILD_CORE_SECONDS / _cores()


def _cores() -> int:
    """Cores that torch uses; more than eight hardly help one image."""
    return min(8, torch.get_num_threads(), os.cpu_count() or 1)


def describe(groups: Sequence[Sequence[Subject]], settings: Settings, device_name: str) -> str:
    """Return the plan as text."""
    subjects = [subject for group in groups for subject in group]
    protocol = settings.protocol
    rows = [("variant", "configuration", "weights"),
            *dict.fromkeys((one.name, one.configuration, one.weights) for one in subjects)]
    frames = ", ".join(str(frame) + (f" ({frame.file.name})" if frame.file else "") for frame in settings.frames)
    turns = "all in turns" if len(groups) == 1 else f"in turns with {BASELINE}, in {len(groups)} groups"
    budget = "" if protocol.budget_s == float("inf") else f" or {duration(protocol.budget_s)} of sampling"
    return "\n".join([
        f"profile on {device_name}, {torch.get_num_threads()} threads: {frames}; batch {settings.batch}; {turns};"
        f" {protocol.repeats} repeats{budget}, at least {protocol.least}",
        *align(rows, left=3), f"expected time: about {duration(total_s(groups, settings))}",
    ])


def parse_frame(text: str) -> Frame:
    """Return the frame of "768x512", width first.

    Raises:
        ConfigurationError: it is none.
    """
    width, cross, height = text.strip().lower().partition("x")
    if not cross or not width.isdigit() or not height.isdigit() or not int(width) or not int(height):
        raise ConfigurationError(f"'{text}' is no shape", "write width x height, such as 768x512")
    return Frame(int(width), int(height))

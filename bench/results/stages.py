"""The stages of an encode or decode: one table of what they are called, how they are shown and what runs in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CONTEXT = "context"  # of models without scales, and what belongs to no scale
SCALES = ("context s1", "context s2", "context s3")
CODING = "entropy coding"  # with the way of the symbols to the host and back
TRANSFERS = "transfers"  # pixels to the device and back: conversion, padding, cropping, rounding; and the container
REST = "rest"


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: in rows, tables, plots and claims.
        colour: in plots, safe for the colour-blind: a hue for each transform, shades of one for the context, greys.
        methods: what of a model runs in it, by either interface; submodules count as the method that calls them.
    """

    name: str
    colour: str
    methods: tuple[str, ...] = ()


STAGES = (  # in the order of tables and plots
    Stage("analysis", "#0072B2", ("analysis", "g_a")),
    Stage("hyper analysis", "#56B4E9", ("hyper_analysis", "h_a")),
    Stage("hyper synthesis", "#8FD0C0", ("hyper_synthesis", "h_s")),
    Stage(CONTEXT, "#7A3B00", ("code_latents", "walk", "_compress_ar", "_decompress_ar")),
    *map(Stage, SCALES, ("#A34700", "#D55E00", "#F0A070")),
    Stage(CODING, "#E69F00"),
    Stage("synthesis", "#009E73", ("synthesis", "g_s")),
    Stage(TRANSFERS, "#BDBDBD"),
    Stage(REST, "#7F7F7F", ("encode_image", "decode_image", "compress", "decompress")),
)
COLOURS = {stage.name: stage.colour for stage in STAGES}
UNKNOWN_COLOUR = "#CC79A7"  # of a stage that another version of the suite has measured


def order_stages(names: Iterable[str]) -> list[str]:
    """Return each name once, in the order of :data:`STAGES`, unknown ones last.

    >>> order_stages(["warp", "rest", "analysis", "rest"])
    ['analysis', 'rest', 'warp']
    """
    places = {stage.name: place for place, stage in enumerate(STAGES)}
    return sorted(dict.fromkeys(names), key=lambda name: places.get(name, len(places)))

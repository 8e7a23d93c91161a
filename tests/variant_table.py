"""Measures the table of docs/variants.md: ``python -m tests.variant_table [VARIANT...]``.

Each model is built at full width with the weights and the image of its reference figures, encoded to real bytes
and decoded from nothing but these bytes. It takes about 20 s a model on one core.
"""

from __future__ import annotations

import sys

import torch
from tabulate import tabulate
from torch import nn

from bench.models import create_model
from bench.runners.profile.complexity import count_macs
from tests.reference_models import fill, manifest, picture

# name: figures of the claim on parameters, whether the published code runs.
PUBLISHED = {
    "hpcm_base": ("68.50 M", "yes"),
    "hpcm_large": ("89.71 M", "yes"),
    "hpcm_phi": ("none", "yes"),
    "multiref_phase1": ("none", "forward only, one image at a time"),
    "multiref_phase2": ("none", "forward only, one image at a time"),
    "multiref_phase3": ("none", "no: a placeholder without context model"),
    "rwkv_phase1": ("base +5 %; 45.2 M", "forward only"),
    "rwkv_phase2": ("base +8 %; 45.8 M", "forward only"),
    "rwkv_phase3": ("none in total", "forward only"),
    "rwkv_phase4": ("base +5 to +8 %", "forward only"),
    "weconv_phase1": ("none", "encoder; its decoder is wrong"),
    "weconv_phase2": ("phase 1 +4 %", "no"),
    "weconv_phase3": ("phase 1 +11 %, phase 2 +7 %", "no"),
    "weconv_phase4": ("phase 3 +8 %", "no"),
    "weconv_phase5": ("phase 3 +12 %", "no"),
    "lalic": ("none", "on a GPU"),
}
FIGURES = {"multiref_phase3": "multiref_phase3_repaired"}
HEADERS = ("variant", "parameters", "against base", "claimed", "kMAC/pixel", "published code decodes",
           "round trip", "real / estimated bits")


def measure(name: str) -> tuple[object, ...]:
    """One line of the table."""
    figures = manifest(FIGURES.get(name, name))
    model = create_model(name).eval()
    names = {name for name, _ in model.named_parameters()}
    fill(model, {**figures, "parameters": [entry for entry in figures["parameters"] if entry["name"] in names]})
    model.update()
    size = figures["image"]
    x = picture(size["height"], size["width"], size["seed"]).float()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    base = sum(entry.numel() for entry in _meta("hpcm_base").parameters())
    real, estimated, exact = _round_trip(model, x)
    return (name, f"{parameters:,}", f"{parameters / base - 1:+.1%}", PUBLISHED[name][0],
            f"{kmac_per_pixel(model, x):.1f}", PUBLISHED[name][1], "exact" if exact else "NOT EXACT",
            f"{real / estimated:.3f}")


def kmac_per_pixel(model: nn.Module, x: torch.Tensor) -> float:
    """Thousands of multiply-accumulates a pixel of ``model(x)``, x (B, C, H, W)."""
    return count_macs(lambda: model(x)).macs / (x.shape[0] * x.shape[-2] * x.shape[-1]) / 1000


def _meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return create_model(name)


def _round_trip(model: nn.Module, x: torch.Tensor) -> tuple[float, float, bool]:
    """Real bits, estimated bits, and whether the decoded image is the encoder's own."""
    encoded = model.encode_image(x)
    decoded = model.decode_image(tuple(encoded.streams.values()), encoded.shape)
    real = 8 * sum(map(len, encoded.streams.values()))
    return real, encoded.estimate_bits(), torch.equal(decoded.image, encoded.reconstruct())


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines = []
    for variant in sys.argv[1:] or PUBLISHED:
        lines.append(measure(variant))
        print(lines[-1], file=sys.stderr, flush=True)
    print(tabulate(lines, headers=HEADERS, tablefmt="pipe", disable_numparse=True))

"""Files of exact models, and a second process with other settings of the processor that decodes them.

Run as a script it is that process: it decodes every file of a folder and leaves the latents beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.models import create_model
from bench.models.compressai_models import CompressAIAdapter
from bench.models.exact import make_exact

OTHER_SETTINGS = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE",
                  "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}


def write_exact_file(path: Path, name: str, options: dict[str, Any], model: nn.Module, x: Tensor) -> Tensor:
    """Write an image coded by a model that is not exact yet, with the weights; returns its latents, decoded here."""
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model = adapt(model)
    make_exact(model)
    encoded = model.encode_image(x)
    streams = list(encoded.streams.values())
    torch.save({"name": name, "options": options, "state": state, "streams": streams, "shape": encoded.shape}, path)
    return decode_latents(model, streams, encoded.shape)


def adapt(model: nn.Module) -> Any:
    """A model with the suite's interface."""
    return model if hasattr(model, "encode_image") else CompressAIAdapter(model).eval()


def decode_latents(model: Any, streams: list[bytes], shape: tuple[int, ...]) -> Tensor:
    """What a model makes of streams before synthesis, which comes first in a model's own names."""
    seen: list[Tensor] = []
    names = ("g_s", "g_s_weconv", "model.g_s")
    synthesis = next(module for name, module in model.named_modules() if name in names)
    hook = synthesis.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.decode_image(streams, shape)
    hook.remove()
    return seen[0]


def decode_elsewhere(folder: Path) -> dict[str, Tensor]:
    """Decode all files of a folder in a process with other settings: latents by the file's name."""
    paths = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, __file__, str(folder)], check=True, timeout=240,
                   env={**os.environ, **OTHER_SETTINGS, "PYTHONPATH": paths})
    return {path.stem: torch.load(path) for path in folder.glob("*.latents")}


def _serve(folder: Path) -> None:
    torch.set_num_threads(2)
    assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
    for path in sorted(folder.glob("*.exact")):
        file = torch.load(path)
        model = create_model(file["name"], **file["options"]).eval()
        model.load_state_dict(file["state"])
        model = adapt(model)
        make_exact(model)
        torch.save(decode_latents(model, file["streams"], file["shape"]), path.with_suffix(".latents"))


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))

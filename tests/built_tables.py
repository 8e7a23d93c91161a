"""The coder's tables of some models, and their digests: run in a process with other vector units and libraries."""

from __future__ import annotations

import json
import zlib

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.models import CompressionModel

from bench.models.coding_tables import LEGACY, use_tables
from bench.models.entropy import GeneralisedGaussian, scale_table
from bench.operators.rans import CodingTables

# Weights are drawn uniformly and go through products and sums alone, so that they are the same everywhere.
SCALES = torch.from_numpy(0.1 + 30 * np.random.default_rng(1).random(400) ** 3).float()


class TwoModels(CompressionModel):
    """CompressAI's two entropy models, with weights that differ from channel to channel."""

    def __init__(self, channels: int = 400, seed: int = 0) -> None:
        super().__init__()
        self.bottleneck, self.gaussian = EntropyBottleneck(channels), GaussianConditional(None)
        random = np.random.default_rng(seed)
        with torch.no_grad():
            for name, parameter in self.bottleneck.named_parameters():
                centre = {"quantiles": torch.tensor([-12, 0, 9]), "matrices": -1.3}.get(name.split(".")[0], 0)
                parameter.copy_(torch.from_numpy(random.uniform(-0.6, 0.6, parameter.shape)) + centre)


def build_tables(legacy: bool = False) -> dict[str, CodingTables]:
    """Tables by name: the published 60 scales, others, and CompressAI's."""
    model, gaussian = TwoModels(), GeneralisedGaussian()
    use_tables(model, LEGACY if legacy else LEGACY + 1)
    read = {name: CodingTables(part._quantized_cdf, part._cdf_length, part._offset)
            for name, part in (("bottleneck", model.bottleneck), ("gaussian", model.gaussian))}
    return {"y": gaussian.tables(scale_table(legacy), legacy), "z": gaussian.tables(SCALES, legacy), **read}


def digest_tables(legacy: bool) -> dict[str, int]:
    """A checksum of each table."""
    return {name: zlib.crc32(b"".join(part.numpy().tobytes() for part in tables))
            for name, tables in build_tables(legacy).items()}


if __name__ == "__main__":
    capability = torch.backends.cpu.get_cpu_capability()
    digests = {"canonical": digest_tables(False), "legacy": digest_tables(True)}
    print(json.dumps({"capability": capability, "scales": scale_table(legacy=True).tolist(), **digests}))

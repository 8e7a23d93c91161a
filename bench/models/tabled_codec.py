"""Entropy models of latents and hyper-latents with the coder's tables, which loading a checkpoint builds anew."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.models.coding_tables import LEGACY
from bench.models.entropy import GeneralisedGaussian
from bench.models.entropy import scale_table as default_scale_table
from bench.models.exact import Agreement, shift_edges
from bench.models.exact_layers import replace_layers
from bench.models.image_codec import ImageCodec
from bench.operators import rans

TABLE_KINDS = ("quantized_cdf", "cdf_length", "offset")  # in the order of CodingTables
TABLE_BUFFERS = ("scale_table", *(f"{kind}_z" for kind in TABLE_KINDS), *(f"{kind}_y" for kind in TABLE_KINDS))


class TabledCodec(ImageCodec, nn.Module):
    """A model with an entropy model of y and z, the coder's tables of both, and what makes these decisions exact.

    Attributes:
        N: channels of hyper-latents.
        scale_table: scales that index the coder's tables of y, (rows,); empty before ``update``.
        float32_parts: networks that decide no row of the coder's tables: float32 in an exact model too.
        exact: set by :meth:`make_exact`.
    """

    rebuilt = TABLE_BUFFERS
    float32_parts: tuple[str, ...] = ("g_a", "g_s", "h_a")
    exact: bool = False
    N: int
    scale_table: Tensor

    def build_entropy_models(self) -> None:
        """Add the entropy model of y and z and room for the coder's tables."""
        self.means_hyper = nn.Parameter(torch.zeros(1, self.N, 1, 1))
        self.scales_hyper = nn.Parameter(torch.ones(1, self.N, 1, 1))
        self.entropy_estimation = GeneralisedGaussian()
        for name in TABLE_BUFFERS:
            self.register_buffer(name, torch.empty(0))

    def make_exact(self) -> None:
        """Compute what decides a row of the coder's tables in float64, see :mod:`bench.models.exact`.

        Call it after loading weights. Streams are others than before.
        """
        self.double()
        for name in self.float32_parts:
            self.get_submodule(name).float()
        replace_layers(self)
        self.exact = True

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Let torch's own loading take tables of any size, as saved after ``update``."""
        for name in TABLE_BUFFERS:
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(saved, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @torch.no_grad()
    def update(self, scale_table: Tensor | None = None, force: bool = True, legacy: bool = False) -> bool:
        """Build the coder's tables from the weights: the same on every machine.

        Call it after loading weights and before ``compress`` or ``decompress``. Unlike CompressAI's, it
        rebuilds by default: tables of other weights decode nothing.

        Args:
            scale_table: scales that index the tables of y, ascending, (rows,); None for the 60 published ones.
            force: build them even if they are there.
            legacy: build those that files of format 1 were coded with on a machine like this.

        Returns:
            Whether they were built.
        """
        if not force and self.scale_table.numel():
            return False

        device = self.means_hyper.device
        self.scale_table = (default_scale_table(legacy) if scale_table is None else scale_table.float()).to(device)

        for name, scales in (("y", self.scale_table), ("z", self.scales_hyper.flatten())):
            for kind, table in zip(TABLE_KINDS, self.entropy_estimation.tables(scales, legacy)):
                setattr(self, f"{kind}_{name}", table.to(device))
        return True

    def use_tables(self, version: int) -> None:
        """Build the coder's tables for files of a format version, see :func:`bench.models.coding_tables.use_tables`.

        Args:
            version: of the files.
        """
        self.update(legacy=version == LEGACY)

    def tables(self, name: str) -> rans.CodingTables:
        """Return the coder's tables.

        Args:
            name: "y" or "z".

        Raises:
            RuntimeError: ``update`` was not called, or the model is in training mode, in which some layers
                depend on the batch.
        """
        if self.training:
            raise RuntimeError("call eval() before compress and decompress")
        if not self.scale_table.numel():
            raise RuntimeError("the coder's tables are empty: call update() after loading weights")
        return rans.CodingTables(*(getattr(self, f"{kind}_{name}") for kind in TABLE_KINDS))

    def levels(self, agreement: Agreement) -> Tensor:
        """Return the scales that index the tables of y, (rows,), in an exact model as the file's encoder shifted them.

        Args:
            agreement: of the file.
        """
        return shift_edges(self.scale_table, agreement.shift) if self.exact else self.scale_table

    def _z_rows(self, positions: int) -> Tensor:
        """Row of the tables of z for each hyper-latent of one image, ``positions`` in a channel, in raster order."""
        return torch.arange(self.N).repeat_interleave(positions)

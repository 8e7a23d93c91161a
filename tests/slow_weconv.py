"""A forward pass of the WeConv line over one image, plane by plane with masks, as the specification words it.

Written without the suite's index arithmetic and walks; it shares with the models their networks alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = ((0, 0), (1, 1), (0, 1), (1, 0))  # of each 2x2, row and column, in the order of the scale 3 patterns

Mask = Callable[[int, Tensor, Tensor], Tensor]


class SlowPass:
    """Runs the pass when built; everything is of one image, (C, h, w).

    Attributes:
        residuals, symbols, scales: of each step, packed as they are coded.
        bands: the four decoded bands.
        x_hat: the image, not clamped.
    """

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.model = model
        self.residuals: list[Tensor] = []
        self.symbols: list[Tensor] = []
        self.scales: list[Tensor] = []
        late = hasattr(model, "g_a_weconv")
        analysis, synthesis, hyper_analysis, hyper_synthesis = (
            getattr(model, name) for name in (("g_a_weconv", "g_s_weconv", "h_a_wavelet", "h_s_wavelet") if late
                                              else ("g_a", "g_s", "h_a", "h_s")))
        y = analysis(image[None])
        z_hat = torch.round(hyper_analysis(y) - model.means_hyper) + model.means_hyper
        bands = list(model.dwt(y)[0].chunk(4))
        self.bands = (self.later if late else self.earlier)(bands, hyper_synthesis(z_hat))
        self.x_hat = synthesis(model.idwt(torch.cat(self.bands)[None]))[0]

    def earlier(self, bands: list[Tensor], hyper: Tensor) -> list[Tensor]:
        """Phases 1 to 3: one set of hyper parameters, the low band as prior."""
        shared = (hyper if hasattr(self.model.h_a, "dwt") else F.avg_pool2d(hyper, 2))[0]
        low = self.in_scales(bands[0], shared, None)
        return [low, *(self.in_scales(band, shared, low) for band in bands[1:])]

    def later(self, bands: list[Tensor], hyper: Tensor) -> list[Tensor]:
        """Phases 4 and 5: steps, hyper parameters of each band, fusion and gate, the low band's context as prior."""
        model, steps = self.model, torch.ones(4)
        if model.adaptive_quant is not None:
            steps = torch.stack([getattr(model.adaptive_quant, f"log_delta_{band}")
                                 for band in ("ll", "lh", "hl", "hh")]).exp()
        parts = hyper.split(2 * model.M, dim=1)
        parameters = [model.param_aggregator_ll(parts[0])[0], *(model.param_aggregator_hf(part)[0]
                                                                 for part in parts[1:])]
        code = self.in_scales if hasattr(model, "context_net") else self.in_checkerboard
        low = steps[0] * code(bands[0] / steps[0], parameters[0], None)
        context = model.ll_context_encoder(low[None])
        fusions = (model.freq_attention_lh, model.freq_attention_hl, model.freq_attention_hh)
        gated = model.channel_gate([fusion(band[None], context) for fusion, band in zip(fusions, bands[1:])])
        return [low, *(step * code(band[0] / step, own, context[0])
                       for step, band, own in zip(steps[1:], gated, parameters[1:]))]

    def step(self, plane: Tensor, parameters: Tensor, mask: Tensor, groups: int) -> Tensor:
        """Code a plane where the mask has ones; returns it decoded, zero elsewhere."""
        scales, means = parameters.chunk(2)
        residuals = (plane - means) * mask
        symbols = torch.round(residuals)
        for kept, values in zip((self.residuals, self.symbols, self.scales), (residuals, symbols, scales * mask)):
            kept.append(torch.stack(values.chunk(groups)).sum(0).flatten() if groups > 1 else values[mask])
        return (symbols + means) * mask

    def in_scales(self, plane: Tensor, hyper: Tensor, prior: Tensor | None) -> Tensor:
        """Code a band in the three scales of the base, with what of the prior each scale's contexts see."""
        model = self.model
        shapes = [(model.M, plane.shape[1] // n, plane.shape[2] // n) for n in (4, 2, 1)]
        known_2 = masked(shapes[1], 4, scale_2(0))
        known_3 = masked(shapes[2], 8, scale_3(0)) | masked(shapes[2], 8, scale_3(1))

        def at_scale_2(t: Tensor) -> Tensor:
            return t[known_3].view(shapes[1])

        def filled(t: Tensor) -> Tensor:  # by rank: the source leaves out other cells than the destination
            left_out = masked(shapes[1], 8, lambda group, row, column: (row % 2 == 0) & (column % 2 == group // 4))
            return torch.zeros_like(at_scale_2(t)).masked_scatter(~known_2, at_scale_2(t)[~left_out])

        def halves(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
            return torch.cat([function(half) for half in t.chunk(2)])

        scales = (
            (at_scale_2(plane)[known_2].view(shapes[0]), 2, [scale_1(step) for step in (0, 1)], None,
             halves(lambda t: at_scale_2(t)[known_2].view(shapes[0]), hyper), model.y_spatial_prior_adaptor_list_s1),
            (at_scale_2(plane), 4, [scale_2(step) for step in (1, 2, 3)], known_2,
             halves(filled, hyper), model.y_spatial_prior_adaptor_list_s2),
            (plane, 8, [scale_3(step) for step in range(2, 8)], known_3,
             halves(lambda t: t * ~known_3, hyper), model.y_spatial_prior_adaptor_list_s3),
        )
        vectors = iter(model.adaptive_params_list)
        for number, (values, groups, steps, known, own, adaptors) in enumerate(scales):
            plain = number == 2 and model.skip_s3_for_hf and prior is not None
            if known is None:
                decoded, context = torch.zeros_like(values), own
            else:
                def placed(t: Tensor, known: Tensor = known) -> Tensor:
                    return torch.zeros(known.shape, dtype=t.dtype).masked_scatter(known, t)

                decoded = placed(decoded)
                context = model.context_net[number - 1]((halves(placed, context) + own)[None])[0]
            for i, mask in enumerate(steps):
                parameters = hyper if plain else context
                if not plain and (number, i) != (0, 0):
                    seen = decoded if prior is None else decoded + F.avg_pool2d(prior, (4, 2, 1)[number])
                    adapted = adaptors[i - 1](torch.cat((context, seen))[None])
                    network = model.y_spatial_prior_s3 if number == 2 else model.y_spatial_prior_s1_s2
                    joined = network(adapted, next(vectors))
                    attention = (model.attn_s1, model.attn_s2, model.attn_s3)[number]
                    parameters, context = joined[0], attention(joined, context[None])[0]
                decoded = decoded + self.step(values, parameters, masked(values.shape, groups, mask), groups)
        return decoded

    def in_checkerboard(self, plane: Tensor, hyper: Tensor, prior: Tensor | None) -> Tensor:
        """Code a band in groups of positions that are the same in all channels."""
        model = self.model
        groups = 2 if prior is not None and model.skip_s3_for_hf else model.num_checkerboard_groups
        decoded, parameters = torch.zeros_like(plane), hyper
        for number in range(groups):
            if number > 0:
                seen = model.multi_res_builder((decoded if prior is None else decoded + prior)[None])[0]
                if hasattr(model, "enhanced_context_ll"):
                    network = model.enhanced_context_ll if prior is None else model.enhanced_context_hf
                    parameters = network(torch.cat((seen, hyper))[None])[0]
                else:
                    parameters = model.y_spatial_prior_s1_s2(torch.cat((hyper, seen))[None], 1)[0]
            mask = masked(plane.shape, 1, lambda _, row, column, number=number: number == (
                (row + column) % 2 if groups == 2 else 2 * (row % 2) + column % 2))
            decoded = decoded + self.step(plane, parameters, mask, 1)
        return decoded


def masked(shape: tuple[int, int, int], groups: int, chosen: Mask) -> Tensor:
    """(C, h, w), true where ``chosen`` says so of a group of channels, row and column."""
    rows, columns = torch.meshgrid(torch.arange(shape[1]), torch.arange(shape[2]), indexing="ij")
    return torch.stack([chosen(channel * groups // shape[0], rows, columns) for channel in range(shape[0])])


def scale_1(step: int) -> Mask:
    """A checkerboard, in the other half of the channels the opposite one."""
    return lambda group, row, column: (row + column) % 2 == (step + group) % 2


def scale_2(step: int) -> Mask:
    """One cell of each 2x2; step 0 is what scale 1 has coded."""
    return lambda group, row, column: 2 * (row % 2) + column % 2 == group ^ (0, 3, 2, 1)[step]


def scale_3(step: int) -> Mask:
    """Two cells of each 4x4; steps 0 and 1 are what scale 2 has coded."""
    def chosen(group: int, row: Tensor, column: Tensor) -> Tensor:
        pattern = (2 * group + (step ^ (group // 4))) % 8
        down, across = CELLS[pattern // 2]
        return (row % 2 == down) & (column % 2 == across) & ((row // 2 + column // 2) % 2 == pattern % 2)

    return chosen

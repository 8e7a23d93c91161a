"""Where a training starts from: above all the weights of one phase for the next one, or of one λ for another.

Tensors are taken over by name and shape, a layer's together or not at all. The transforms g_a and g_s, whose layers
the WeConv line regroups and renames, are matched by their structure, which gives the map that is published for
phases 1 to 4 and holds at any width and depth. All else starts as the model was initialised.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bench.common.errors import ConfigurationError
from bench.common.text import list_names
from bench.models.checkpoints import is_rebuilt, load_weights, read_weights
from bench.models.weight_names import match_names
from bench.training.data import Images, as_input, crop_centres
from bench.training.start.principal_components import principal_components

# What trains first when the rest is frozen, by how its name starts. New parts always train; these do even where the
# phase before has them. As published for WeConv's phases 3 to 5; for the others, what the phase changes.
FREEZE_EXCEPT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("multiref_phase1", "multiref_phase2", "multiref_phase3"), ("memory_", "hierarchical_manager")),
    "rwkv_phase1": ("attn_s3",),
    "rwkv_phase2": ("attn_s1", "attn_s2"),
    "rwkv_phase3": ("context_net",),
    "rwkv_phase4": ("y_spatial_prior_s1_s2", "y_spatial_prior_s3"),
    "weconv_phase1": ("y_spatial_prior", "attn_", "context_net", "adaptive_params_list"),
    "weconv_phase2": ("g_a", "g_s"),
    "weconv_phase3": ("h_a", "h_s"),
    "weconv_phase4": ("ll_context", "freq_attention", "channel_gate", "adaptive_quant"),
    "weconv_phase5": ("enhanced_context", "multi_res_builder"),
}
# The layers of a transform: g_a.branch.3, g_a.stage2.0, a bare g_a.stage4, g_a_weconv.stage3.6.
LAYER = re.compile(r"(g_[as])(?:_weconv)?\.(?:branch\.(\d+)|stage(\d+)(?:\.(\d+))?)(?=\.)")
STRIDED = {"weight", "bias"}  # the parameters of a layer that is one convolution
START_IMAGES = 64  # for principal components

Prepare = Callable[[nn.Module], Mapping[str, Any]]  # gives a model its start and says for the log what it was
TransferReport = Mapping[str, Mapping[str, int]]


def from_scratch(model: nn.Module) -> dict[str, Any]:
    """Start from random weights."""
    return {"start": "random weights"}


def from_principal_components(images: Images, crop: int, lambda_: float, model: nn.Module) -> dict[str, Any]:
    """Start the transforms from principal components of the training images."""
    principal_components(model, as_input(crop_centres(images.training, crop, START_IMAGES)), lambda_)
    return {"start": "principal components of the training images"}


def from_weights(path: Path, name: str, model: nn.Module) -> dict[str, Any]:
    """Start from the weights of a file that fits the model; ``name`` is how the record calls it."""
    load_weights(model, read_weights(path), str(path))
    return {"start": name}


def from_other(path: Path, model_name: str, freeze: bool, name: str, model: nn.Module) -> dict[str, Any]:
    """Start from what fits of a file's weights; the rest is as initialised.

    Args:
        freeze: let what was taken over learn no longer, but for the parts that the entry of ``FREEZE_EXCEPT`` for
            ``model_name`` names.
        name: how the record calls the file.
    """
    report = transfer_weights(model, read_weights(path), freeze, FREEZE_EXCEPT.get(model_name, ()))
    print(f"start from {name}: {path}\n{describe_transfer(report)}", flush=True)
    return {"start": name, "frozen": freeze}


def transfer_weights(
    model: nn.Module, weights: Mapping[str, Tensor], freeze: bool = False, except_parts: Sequence[str] = ()
) -> TransferReport:
    """Copy into ``model`` what fits of ``weights``, and rebuild its coding tables.

    Args:
        model: freshly made, so that what does not fit is as initialised.
        weights: tensors by name, as :func:`bench.models.checkpoints.read_weights` gives them.
        freeze: take gradients from all that was taken over; running statistics of normalisations still follow the
            data in training mode.
        except_parts: how names start that are not frozen; the entry of ``FREEZE_EXCEPT``.

    Returns:
        How many numbers each tensor holds that was "loaded" under its own name, "renamed" ("old to new"), left "fresh"
        as the model was initialised, "unused" of the weights for lack of a place in the model, or "frozen" of those
        taken over.

    Raises:
        ConfigurationError: nothing fits, or freezing would leave nothing to train.
        CheckpointError: a tensor that fits is not finite, or a constant differs.

    After an error the model is unchanged.
    """
    rename = getattr(model, "rename", dict)
    weights = rename(match_names(weights, model.state_dict()).weights)
    weights = {name: value for name, value in weights.items() if not is_rebuilt(model, name)}
    state = {name: value for name, value in model.state_dict().items() if not is_rebuilt(model, name)}
    constants = {name for name, buffer in model.named_buffers() if buffer.numel() == 1}
    wanted = {name: value for name, value in state.items() if name not in constants}
    parameters = [name for name, _ in model.named_parameters()]
    sources = _find_sources(wanted, weights, set(parameters))
    if not any(name in sources for name in parameters):
        raise ConfigurationError(f"none of the weights fit {type(model).__name__}; they have {list_names(weights)}",
                                 "check the variant, its options and the file to start from")

    frozen = _choose_frozen(parameters, sources, except_parts) if freeze else ()
    known = {name: weights.pop(name) for name in constants & set(weights)}  # loading compares them
    taken = {name: weights[source] for name, source in sources.items()}
    load_weights(model, {**state, **known, **taken}, "the start")
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)

    sizes, used = {name: value.numel() for name, value in wanted.items()}, set(sources.values())
    return {
        "loaded": {name: sizes[name] for name, source in sources.items() if name == source},
        "renamed": {f"{source} to {name}": sizes[name] for name, source in sources.items() if name != source},
        "fresh": {name: size for name, size in sizes.items() if name not in sources},
        "unused": {name: value.numel() for name, value in weights.items() if name not in used},
        "frozen": {name: sizes[name] for name in frozen},
    }


def describe_transfer(report: TransferReport) -> str:
    """One line a kind: how many tensors and numbers, and the first names."""
    return "\n".join(f"{kind}: {len(sizes)} tensors, {sum(sizes.values())} parameters"
                     + (f" ({list_names(sizes)})" if sizes else "") for kind, sizes in report.items())


def _choose_frozen(parameters: list[str], sources: Mapping[str, str], except_parts: Sequence[str]) -> tuple[str, ...]:
    frozen = tuple(name for name in parameters if name in sources and not name.startswith(tuple(except_parts)))
    if len(frozen) == len(parameters):
        raise ConfigurationError("freezing all that was taken over would leave nothing to train",
                                 "name parts to except, or start without freezing")
    return frozen


def _find_sources(wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor], parameters: set[str]) -> dict[str, str]:
    """The model's tensors to the weights' that they take over."""
    moved = {}
    for transform in ("g_a", "g_s"):
        moved.update(_match_layers(_list_layers(weights, transform), _list_layers(parameters, transform)))

    layers = defaultdict(list)  # the model's tensors by the layer they belong to; a tensor of the model itself, alone
    source_of = {}
    for name in wanted:
        layers[name.rpartition(".")[0] or name].append(name)
        match = LAYER.match(name)
        source_of[name] = name if match is None else moved.get(match[0], "") + name.removeprefix(match[0])
    shapes = {name: value.shape for name, value in weights.items()}
    whole_layers = [names for names in layers.values()
                    if all(shapes.get(source_of[name]) == wanted[name].shape for name in names)]
    return {name: source_of[name] for names in whole_layers for name in names}


def _list_layers(names: Mapping[str, Tensor] | set[str], transform: str) -> dict[str, set[str]]:
    """The layers of g_a or g_s in their order, with the names of their tensors within the layer."""
    layers: dict[tuple[tuple[int, ...], str], set[str]] = {}
    for name in names:
        if (match := LAYER.match(name)) and match[1] == transform:
            place = tuple(int(number) for number in match.groups()[1:] if number is not None)
            layers.setdefault((place, match[0]), set()).add(name[match.end() + 1 :])
    return {layer: layers[place, layer] for place, layer in sorted(layers)}


def _match_layers(old: Mapping[str, set[str]], new: Mapping[str, set[str]]) -> dict[str, str]:
    """New layers to the old ones that they continue.

    Strided layers match by their number. Between two of them, each old layer goes to the next new layer of its kind,
    in order; the old ones for which none is left go nowhere.
    """
    known = set().union(*new.values())  # parameters: what else old files hold of a layer does not tell its kind
    pairs: dict[str, str] = {}
    for olds, news in zip(_split_at_strides(old, known), _split_at_strides(new, known)):
        start = 0
        for layer in olds:
            alike = (i for i in range(start, len(news)) if new[news[i]] == old[layer] & known)
            if (place := next(alike, None)) is not None:
                pairs[news[place]], start = layer, place + 1
    return pairs


def _split_at_strides(layers: Mapping[str, set[str]], known: set[str]) -> list[list[str]]:
    """The layers in runs of which each but the first begins with a strided one."""
    runs: list[list[str]] = [[]]
    for layer, tensors in layers.items():
        if tensors & known == STRIDED:
            runs.append([])
        runs[-1].append(layer)
    return runs

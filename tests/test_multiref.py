"""The multi-reference line: recorded figures, one memory a pass and an image, real streams, checkpoints."""

from __future__ import annotations

import threading

import pytest
import torch
from multiref_models import PHASES, images, roughened, tiny
from reference_models import fill, manifest, picture
from second_process import measure_with_second_process
from tiny_models import TINY
from tiny_models import picture as small_picture
from torch import Tensor, nn

from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import CheckpointError, CodecError, ConfigurationError
from bench.models import create_model
from bench.models.checkpoints import load_weights, read_weights
from bench.models.coders import Quantiser
from bench.results.rows import OK

FIGURES = {1: "multiref_phase1", 2: "multiref_phase2", 3: "multiref_phase3_repaired"}
WITHOUT_EFFECT = {1: 1, 2: 1, 3: 0}  # queries at the end of scale 3 that the published code makes for nothing


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As the decoder's process; measuring also sets torch's algorithms, which is undone here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


def close(value):
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def forward(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        output = model(x)
    return output["x_hat"], output["likelihoods"]["y"]


def same(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second))


def base_of(model: nn.Module) -> nn.Module:
    """HPCM with the model's weights, without what belongs to memory."""
    base = create_model("hpcm_base", **TINY).eval()
    load_weights(base, {name: value for name, value in model.state_dict().items()
                        if not name.startswith(("memory_", "hierarchical_manager"))})
    return base


def listen(bank: nn.Module, queries: list[dict], adds: list[Tensor]) -> None:
    """Record what a bank chooses, returns and is given."""
    choose, enhance, add = bank.choose, bank.enhance, bank.add

    def chosen(memory, context):
        slots, weights = choose(memory, context)
        scores = bank.scores(bank.query(context), torch.stack(memory.keys, dim=1))
        queries.append({"slots": slots, "weights": weights, "scores": scores})
        return slots, weights

    def enhanced(memory, context):
        out = enhance(memory, context)
        queries[-1]["out"] = out
        return out

    bank.choose = chosen
    bank.enhance = enhanced
    bank.add = lambda memory, context: (adds.append(context), add(memory, context))[1]


@pytest.mark.parametrize("phase", PHASES)
def test_parameters_have_the_published_names_and_shapes(phase):
    figures = manifest(FIGURES[phase])
    with torch.device("meta"):
        model = create_model(f"multiref_phase{phase}")
    assert {name: tuple(value.shape) for name, value in model.named_parameters()} == {
        entry["name"]: tuple(entry["shape"]) for entry in figures["parameters"]}
    assert sum(parameter.numel() for parameter in model.parameters()) == figures["param_count"]
    published = {entry["name"] for entry in figures["buffers"]}
    assert {name for name, _ in model.named_buffers()} == {name for name in published if ".memory_" not in name}


@pytest.mark.parametrize("phase", PHASES)
def test_forward_gives_the_recorded_figures(phase):
    figures = manifest(FIGURES[phase])
    recorded = figures["outputs"]
    model = create_model(f"multiref_phase{phase}").double().eval()
    fill(model, figures)
    queries, adds, calls, coders = [], [], [], []
    for number in range(3):
        if (bank := getattr(model, f"memory_bank_s{number + 1}", None)) is not None:
            listen(bank, queries, adds)
        cell = f"attn_s{number + 1}"
        model.get_submodule(cell).register_forward_hook(lambda _m, _i, out, cell=cell: calls.append((cell, out)))
    code_latents = model.code_latents
    model.code_latents = lambda hyper, coder: (coders.append(coder), code_latents(hyper, coder))[1]
    x_hat, likelihoods = forward(model, picture(256, 256, figures["image"]["seed"]))

    assert float(x_hat.sum()) == close(recorded["x_hat_sum"])
    assert float((x_hat**2).sum()) == close(recorded["x_hat_sumsq"])
    patch = torch.tensor(recorded["x_hat_patch"], dtype=torch.float64)
    torch.testing.assert_close(x_hat[0, :, 100:104, 100:104], patch, rtol=1e-9, atol=1e-10)
    assert float(-likelihoods.log2().sum()) == close(recorded["bits_y"])
    steps = recorded["coding_steps"]
    assert [float(symbols.sum()) for symbols in coders[0].symbols] == [step["symbol_sum"] for step in steps]
    assert [float(symbols.abs().sum()) for symbols in coders[0].symbols] == [step["symbol_abs_sum"] for step in steps]
    assert [float(scales.sum()) for scales in coders[0].scales] == [close(step["scale_sum"]) for step in steps]

    # The published code also runs the last attention, fusion and add, which nothing reads.
    assert [(cell, float(out.sum()), float((out**2).sum())) for cell, out in calls] == [
        (call["cell"], close(call["sum"]), close(call["sumsq"])) for call in recorded["attention_calls"][:-1]]
    expected = recorded["memory_queries"][: len(recorded["memory_queries"]) - WITHOUT_EFFECT[phase]]
    assert len(queries) == len(expected) == {1: 4, 2: 7, 3: 10}[phase]
    for query, entry in zip(queries, expected):
        assert query["slots"].tolist() == [entry["indexes"]]
        assert query["weights"][0].tolist() == close(entry["weights"])
        assert (float(query["out"].sum()), float((query["out"]**2).sum())) == (
            close(entry["out_sum"]), close(entry["out_sumsq"]))
    assert len(adds) == {1: 6, 2: 12, 3: 12}[phase]
    for context, entry in zip(adds, recorded["memory_adds"]):
        assert (float(context.sum()), float((context**2).sum())) == (close(entry["sum"]), close(entry["sumsq"]))
    temperatures = [model.get_parameter(f"memory_bank_s{scale}.temperature").item() + 1e-8
                    for scale in (1, *(2,) * 3, *(3,) * 6)] if phase == 3 else []
    for query, entry, temperature in zip(queries, expected, temperatures):
        assert (query["scores"][0] * temperature).tolist() == close(entry["similarity"])


def test_pairing_values_rightly_gives_the_recorded_rate():
    figures = manifest(FIGURES[1])
    model = create_model("multiref_phase1", pair_values=True).double().eval()
    fill(model, figures)
    _, likelihoods = forward(model, picture(256, 256, figures["image"]["seed"]))
    assert float(-likelihoods.log2().sum()) == pytest.approx(376_100.854, abs=5e-4)


@pytest.mark.parametrize("phase", PHASES)
def test_switched_off_it_is_the_base_and_switched_on_again_itself(phase):
    model, image = tiny(phase), images(1)
    base = base_of(model)
    with_memory, stream = forward(model, image), model.compress(image)["strings"]
    assert model.stream_tag == base.stream_tag == 0
    model.enable_multiref = False
    assert model.stream_tag == 1
    assert same(forward(model, image), forward(base, image))
    assert model.compress(image)["strings"] == base.compress(image)["strings"] != stream
    assert torch.equal(model.decompress(**model.compress(image))["x_hat"], base(image)["x_hat"].clamp(0, 1))
    model.enable_multiref = True
    assert same(forward(model, image), with_memory) and not torch.equal(with_memory[1], forward(base, image)[1])
    assert model.compress(image)["strings"] == stream
    built_off = create_model(f"multiref_phase{phase}", enable_multiref=False, **options_of_tiny(phase)).eval()
    load_weights(built_off, model.state_dict())
    assert same(forward(built_off, image), forward(base, image))
    built_off.enable_multiref = True
    assert same(forward(built_off, image), with_memory)


def options_of_tiny(phase: int) -> dict:
    return {**TINY, **({"compress_ratio": 1} if phase < 3 else {"temperature": 0.5})}


def chosen_slots(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Slots that every query chose, (B, k) each."""
    found = []
    banks = [bank for name, bank in model.named_children() if name.startswith("memory_bank")]
    for bank in banks:
        choose = type(bank).choose.__get__(bank)
        bank.choose = lambda memory, context, choose=choose: (found.append(choose(memory, context)), found[-1])[1]
    forward(model, x)
    for bank in banks:
        del bank.choose
    return [slots for slots, _ in found]


@pytest.mark.parametrize("phase", PHASES)
def test_every_image_of_a_batch_has_its_own_memory_and_choice(phase):
    pair = torch.cat([images(1), images(1, seed=2).flip(1) ** 3]).double()  # the second is darker
    differ = 0
    for seed in range(4):  # not under all weights do the images choose differently
        model = tiny(phase, seed).double()
        together, *alone = (chosen_slots(model, x) for x in (pair, pair[:1], pair[1:]))
        assert [slots.tolist() for slots in together] == [torch.cat(slots).tolist() for slots in zip(*alone)]
        differ += sum(slots[0].tolist() != slots[1].tolist() for slots in together)
        expected = [torch.cat(parts) for parts in zip(*(forward(model, x[None]) for x in pair))]
        torch.testing.assert_close(list(forward(model, pair)), expected, rtol=1e-9, atol=1e-12)
    assert differ


@pytest.mark.parametrize("phase", PHASES)
def test_an_image_is_coded_the_same_after_another(phase):
    model, fresh = tiny(phase), tiny(phase)
    first, second = images(2, 64, 128)
    model.decompress(**model.compress(first[None]))
    forward(model, first[None])
    coded = model.compress(second[None])
    assert coded["strings"] == fresh.compress(second[None])["strings"]
    assert torch.equal(model.decompress(**coded)["x_hat"], forward(fresh, second[None])[0].clamp(0, 1))
    assert not any("memory_keys" in name or "memory_values" in name for name in model.state_dict())


class InStep(Quantiser):
    """Quantises each step only when the other pass has arrived at it too."""

    def __init__(self, latents: Tensor, barrier: threading.Barrier) -> None:
        super().__init__(latents)
        self.barrier = barrier

    def code(self, source: Tensor, scales: Tensor, means: Tensor) -> Tensor:
        self.barrier.wait(timeout=60)
        return super().code(source, scales, means)


@pytest.mark.parametrize("phase", PHASES)
def test_passes_that_run_at_the_same_time_do_not_see_each_other(phase):
    model, pair = tiny(phase), images(2)
    with torch.no_grad():
        latents = [model.g_a(image[None]) for image in pair]
        hyper = [model.h_s(torch.round(model.h_a(y))) for y in latents]
        alone = [model.code_latents(*one) for one in zip(hyper, map(Quantiser, latents))]
    barrier, found = threading.Barrier(2), {}

    @torch.no_grad()
    def code(i: int) -> None:
        found[i] = model.code_latents(hyper[i], InStep(latents[i], barrier))

    threads = [threading.Thread(target=code, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(found[0], alone[0]) and torch.equal(found[1], alone[1])


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_streams_decode_exactly(phase, enabled):
    model = tiny(phase, enable_multiref=enabled)
    for width, height in ((64, 64), (128, 64)):
        pair = images(2, width, height)
        coded = model.compress(pair)
        assert coded["strings"] == [[model.compress(image[None])["strings"][part][0] for image in pair]
                                    for part in (0, 1)]
        decoded = model.decompress(**coded)["x_hat"]
        for i, image in enumerate(pair):
            assert torch.equal(decoded[i], forward(model, image[None])[0][0].clamp(0, 1))


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_a_second_process_decodes_files_of_odd_sizes(phase, enabled, tmp_path):
    options = {**options_of_tiny(phase), "enable_multiref": enabled}
    rows = measure_with_second_process(tiny(phase), f"multiref_phase{phase}", options, [(33, 17), (70, 129)], tmp_path)
    assert [(row.status, row.reason, row.decode_matches) for row in rows] == [(OK, None, True)] * 2


def test_a_file_coded_with_memory_is_refused_without():
    model = tiny(1)
    codec, image = LearnedCodec(model, "cpu"), small_picture(40, 30)
    stream = codec.encode(image).stream
    model.enable_multiref = False
    with pytest.raises(CodecError):
        codec.decode(stream)
    assert codec.encode(image).stream != stream
    model.enable_multiref = True
    assert codec.decode(stream).shape == (30, 40, 3)


CHANGES = [
    (1, {"max_refs": 2}), (1, {"topk_refs": 1}), (1, {"temperature": 1.0}), (1, {"pair_values": True}),
    (2, {"max_refs_s2": 1}), (2, {"max_refs_s3": 2}), (2, {"topk_refs_s2": 1}), (2, {"topk_refs_s3": 3}),
    (2, {"temperature": 1.0}), (2, {"value_resolution": 2}),
    (3, {"max_refs_s1": 1}), (3, {"max_refs_s2": 2}), (3, {"max_refs_s3": 2}), (3, {"topk_refs_s2": 1}),
    (3, {"topk_refs_s3": 3}), (3, {"value_resolution": 2}), (3, {"kernel_type": "relu"}), (3, {"num_heads": 2}),
    (3, {"attn_s3_window": 16}),
]


@pytest.mark.parametrize("phase, options", CHANGES)
def test_an_option_changes_the_output_with_the_same_weights(phase, options):
    model, changed = tiny(phase), create_model(f"multiref_phase{phase}", **{**options_of_tiny(phase), **options}).eval()
    load_weights(changed, model.state_dict())
    assert not torch.equal(forward(model, images(1))[1], forward(changed, images(1))[1])


def test_options_change_the_networks():
    wide, narrow = tiny(1, compress_ratio=1), tiny(2, compress_ratio=8)
    assert wide.memory_bank_s3.query_proj.weight.shape[0] == 16
    assert narrow.memory_bank_s1.query_proj[0].weight.shape[0] == 2
    assert tiny(3, temperature=7.0).memory_bank_s2.temperature.item() == pytest.approx(7, abs=1)
    transferring = tiny(3)
    transferring.enable_hierarchical_transfer = False
    assert not torch.equal(forward(transferring, images(1))[1], forward(tiny(3), images(1))[1])
    assert not any("manager" in name for name in tiny(3, enable_hierarchical_transfer=False).state_dict())
    options = {**options_of_tiny(2), "enable_hierarchical_transfer": True}
    model, adapted = tiny(2), create_model("multiref_phase2", **options).eval()
    assert "hierarchical_manager.s1_to_s2_adapter.0.weight" in adapted.state_dict()
    load_weights(adapted, {**adapted.state_dict(), **model.state_dict()})
    assert same(forward(adapted, images(1)), forward(model, images(1)))  # as published, it transfers nothing


@pytest.mark.parametrize("phase", PHASES)
def test_a_scale_without_slots_has_no_bank(phase):
    sizes = {"max_refs": 0} if phase == 1 else {f"max_refs_s{scale}": 0 for scale in (1, 2, 3)}
    model = tiny(phase, **sizes)
    assert not any("memory_bank" in name for name in model.state_dict())
    assert same(forward(model, images(1)), forward(base_of(model), images(1)))


@pytest.mark.parametrize("phase, options, told", [
    (1, {"max_refs": -1}, "max_refs must be a whole number of at least 0, not -1"), (1, {"topk_refs": 0}, "at least 1"),
    (1, {"max_refs": 1.5}, "whole number"), (1, {"compress_ratio": 17}, "at most 16"), (1, {"temperature": 0}, "posit"),
    (2, {"max_refs_s2": True}, "whole number"), (2, {"value_resolution": 0}, "at least 1"),
    (3, {"num_heads": 3}, r"divide the context's 16 channels \(1, 2, 4, 8, 16\)"),
    (3, {"kernel_type": "gelu"}, "elu, relu"), (3, {"attn_s3_window": 12}, "1, 2, 4, 8 or 16"),
    (3, {"compress_ratio": 4}, "has no option compress_ratio"), (2, {"num_heads": 4}, "has no option num_heads"),
    (1, {"enable_multiref": "False"}, "true or false"), (3, {"max_refs": 3}, "has no option max_refs"),
])
def test_impossible_options_are_refused(phase, options, told):
    with pytest.raises(ConfigurationError, match=told):
        create_model(f"multiref_phase{phase}", **{**TINY, **options})


def published(model: nn.Module, leading: int) -> dict[str, Tensor]:
    """The model's state as the published code saves it: with memory buffers, whose sizes vary."""
    buffers = {"memory_keys": torch.rand(leading, 4, 16, 1, 1), "memory_values": torch.rand(leading, 4, 16, 8, 8),
               "memory_initialized": torch.ones(4, dtype=torch.bool), "memory_count": torch.tensor([3]),
               "memory_valid": torch.ones(leading, 4, dtype=torch.bool)}
    return {**model.state_dict(), **{f"memory_bank_s3.{name}": value for name, value in buffers.items()}}


@pytest.mark.parametrize("phase", PHASES)
def test_published_layouts_load(phase, tmp_path):
    model, image = tiny(phase), images(1)
    with torch.no_grad():
        for vector in model.adaptive_params_list:
            vector.fill_(1)
    plain = published(model, 1)
    layouts = {
        "bare": plain, "parallel": {f"module.{name}": value for name, value in published(model, 8).items()},
        "trainer": {"epoch": 3, "state_dict": plain, "best_loss": 1.0, "global_step": 9},
        "template": {"epoch": 3, "model_state_dict": plain, "train_stats": {"loss": 1.0}},
        "no vectors": {name: value for name, value in plain.items() if "adaptive_params_list" not in name},
    }
    for name, content in layouts.items():
        path = tmp_path / f"{name}.pth.tar"
        torch.save(content, path)
        fresh = tiny(phase, seed=5)
        report = load_weights(fresh, read_weights(path))
        assert {f"memory_bank_s3.{kind}" for kind in ("memory_keys", "memory_count")} <= set(report.ignored)
        assert same(forward(fresh, image), forward(model, image))


@pytest.mark.parametrize("phase", PHASES)
def test_a_checkpoint_without_banks_loads_only_without_memory(phase):
    base = roughened(create_model("hpcm_base", **TINY))
    with pytest.raises(CheckpointError, match="missing: memory_bank_s"):
        load_weights(tiny(phase), base.state_dict())
    model = tiny(phase, enable_multiref=False)
    load_weights(model, base.state_dict())
    assert same(forward(model, images(1)), forward(base, images(1)))
    assert model.compress(images(1))["strings"] == base.compress(images(1))["strings"]


# Without effect by default: what published classes never use, and at scale 1 what chooses among one stored context.
UNUSED = {
    1: (),
    2: ("mha_query", "mha_key", "mha_value", "memory_bank_s1.key_encoder", "memory_bank_s1.query_proj"),
    3: ("value_proj", "cross_proj", "memory_bank_s1.query_proj", "memory_bank_s1.temperature"),
}
STORED = {1: ("key_encoder", "value_proj"), 2: ("key_encoder", "value_encoder"), 3: ("key_proj", "value_encoder")}


@pytest.mark.parametrize("detach", [None, True, False])
@pytest.mark.parametrize("phase", PHASES)
def test_gradients_reach_every_parameter_that_should_learn(phase, detach):
    options = {} if detach is None else {"detach_memory": detach}
    model = tiny(phase, **options).train()
    output = model(images(1))
    bits = sum(-likelihood.log2().sum() for likelihood in output["likelihoods"].values())
    (1000 * ((output["x_hat"] - 0.5) ** 2).mean() + bits).backward()
    still = {name for name, parameter in model.named_parameters()
             if parameter.grad is None or parameter.grad.abs().max() == 0}
    detached = phase < 3 if detach is None else detach
    parts = (*UNUSED[phase], *(STORED[phase] if detached else ()))
    expected = {name for name, _ in model.named_parameters() if any(f".{part}." in f".{name}." for part in parts)}
    assert {name for name in still ^ expected if not name.endswith("conv_k.bias")} == set()

"""The models on a GPU: exact decoding, and figures that agree with the CPU's."""

import pytest
import torch

from bench.models import MODELS, create_model
from tests.reference_models import fill, manifest, picture
from tests.training_samples import decoded, held_out, photographs  # noqa: F401

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
FIGURES = {"multiref_phase3": "multiref_phase3_repaired"}


def filled(name, dtype=torch.float32):
    """The model with the weights of its reference figures."""
    figures = manifest(FIGURES.get(name, name))
    model = create_model(name).to(dtype).eval()
    names = set(model.state_dict())
    fill(model, {**figures, "parameters": [
        entry for entry in figures["parameters"]
        if entry["name"] in names and not entry["name"].endswith("conv5x5_reparam.weight")]})
    return model


@pytest.mark.parametrize("name", [name for name in MODELS if name != "hpcm_1b"])
def test_streams_decode_exactly_on_a_gpu(name):
    model = filled(name).cuda()
    model.update()
    image = picture(256, 512, seed=3).float().cuda()
    encoded = model.encode_image(image)
    decoded = model.decode_image(tuple(encoded.streams.values()), encoded.shape)
    assert torch.equal(decoded.image, encoded.reconstruct()) and decoded.latents_crc == encoded.latents_crc


@pytest.mark.parametrize("name", ["hpcm_phi", "multiref_phase2", "rwkv_phase2", "weconv_phase4"])
def test_float64_figures_are_the_recorded_ones_on_a_gpu(name):
    figures = manifest(name)
    model = filled(name, torch.float64)
    with torch.no_grad():
        output = model.cuda()(picture(256, 256, figures["image"]["seed"]).cuda())
    recorded = figures["outputs"]
    assert float(output["x_hat"].sum()) == pytest.approx(recorded["x_hat_sum"], rel=1e-9)
    assert float(-output["likelihoods"]["y"].log2().sum()) == pytest.approx(recorded["bits_y"], rel=1e-9)


@pytest.mark.parametrize("configuration", ["default", "channels-last", "half-precision", "cuda-graphs"])
def test_profiles_on_a_gpu_are_whole(configuration, tmp_path, monkeypatch):
    """Rows with samples, stages that add up, the allocator's peaks, exact decoding."""
    from bench.cli import main
    from bench.results.latency_rows import LatencyRow
    from bench.results.store import read_rows
    from tests.tiny_models import write_variants

    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    status = main(["profile", "tiny", "--device", "cuda", "--shapes", "128x64", "--configurations", configuration,
                   "--no-report", "--results", str(tmp_path / "results")])
    rows = [row for path in (tmp_path / "results").glob("latency/*/*.jsonl") for row in read_rows(path, LatencyRow)]
    assert status == 0 and len(rows) == 2
    for row in rows:
        assert row.status == "ok" and row.decode_matches and row.macs > 0 and len(row.samples_s) >= 6
        assert sum(map(sum, row.stages_s.values())) == pytest.approx(sum(row.stage_totals_s))
        assert row.peak_alloc_bytes >= row.weights_bytes and row.peak_reserved_bytes >= row.peak_alloc_bytes
        assert row.provenance.tf32 is False and row.state["before"]["gpu"]["driver"]


def test_traces_on_a_gpu_hold_kernels(tmp_path, monkeypatch):
    from bench.cli import main
    from tests.tiny_models import write_variants

    monkeypatch.setenv("BENCH_VARIANTS", str(write_variants(tmp_path)))
    assert main(["profile", "tiny", "--device", "cuda", "--shapes", "64x64", "--trace",
                 "--reports", str(tmp_path)]) == 0
    traces = list((tmp_path / "latency" / "traces").glob("*.trace.json"))
    assert len(traces) == 2 and all('"kernel"' in path.read_text() for path in traces)


def test_files_meet_a_gpu_and_come_back(tmp_path, monkeypatch):
    """Coded on the CPU and decoded on the GPU, and the other way round."""
    from PIL import Image

    from bench.cli import main
    from bench.common.errors import EXIT_BAD_INPUT
    from bench.results.crosschecks import IDENTICAL, WRONG, read_crosschecks
    from tests.tiny_models import picture as pixels

    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels(128, 64)).save(tmp_path / "pictures" / "crop.png")
    for encoding, decoding in (("same", "same,cuda"), ("cuda", "same,cuda")):
        code = main(["crosscheck", "--dataset", str(tmp_path / "pictures"), "--codecs", "rwkv_phase1_mini", "--points",
                     "0.0018", "--encode-on", encoding, "--decode-on", decoding, "--results", str(tmp_path)])
        if code == EXIT_BAD_INPUT:
            pytest.skip("the miniatures' checkpoints are not here")
    rows = read_crosschecks(tmp_path, "pictures")
    devices = [(row.encoder_machine.partition(":")[0], row.decoder_machine.partition(":")[0]) for row in rows]
    assert devices == [("cpu", "cpu"), ("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")]
    assert WRONG not in {row.outcome for row in rows}
    assert rows[0].outcome == rows[3].outcome == IDENTICAL and rows[0].latents_match and rows[3].latents_match


@pytest.mark.parametrize("recipe, half", [
    ("standard", False), ("standard", True), ("balanced_phase1", False), ("balanced_phase3", True),
    ("balanced_phase4", False),
])
def test_training_on_a_gpu_lowers_the_loss_and_goes_on_from_its_state(recipe, half, decoded, held_out, tmp_path):
    from bench.training.losses import validate_model
    from bench.training.processes import Processes
    from bench.training.trainer import Trainer
    from tests.training_samples import job

    processes = Processes(device=torch.device("cuda"))
    wanted = job(recipe, steps=40, half=half)
    trainer = Trainer(wanted, tmp_path / "run", processes=processes)
    before = validate_model(trainer.model, held_out, wanted, processes.device)["loss"]
    trainer.run(decoded, held_out, workers=2, log_every=10, save_every=10, until=20)
    trainer.close()
    resumed = Trainer(wanted, tmp_path / "run", processes=processes)
    assert resumed.step == 20 and next(resumed.model.parameters()).device.type == "cuda"
    last = resumed.run(decoded, held_out, workers=2, log_every=10, save_every=10)
    assert resumed.step == 40 and resumed.guard.skipped == 0
    assert last["loss"] < 0.8 * before


def test_a_training_on_a_gpu_follows_the_one_on_the_cpu_until_noise_parts_them(decoded, tmp_path):
    """Same weights and crops; noise differs between devices, so losses agree only about."""
    from bench.training.data import RandomCrops, as_input
    from bench.training.processes import Processes
    from bench.training.trainer import Trainer
    from tests.training_samples import CROP, job

    crops = RandomCrops(decoded, CROP, 0)
    losses = []
    for kind in ("cpu", "cuda"):
        device = torch.device(kind)
        trainer = Trainer(job(steps=40), tmp_path / kind, processes=Processes(device=device))
        batch = torch.stack([crops[0], crops[1]])
        losses.append([float(trainer._step(as_input(batch, device))[0]) for _ in range(5)])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)

"""CompressAI's zoo and its interface: the file codec gives what CompressAI's own calls give."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import compressai.zoo
import numpy as np
import pytest
import torch
from compressai.zoo import image as zoo_image
from compressai.zoo import image_vbr as zoo_vbr
from PIL import Image
from tiny_models import picture

from bench.cli import main
from bench.codecs.container import unpack_file
from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import EXIT_BAD_INPUT, EXIT_DONE, CodecError, ConfigurationError
from bench.models import create_model
from bench.models.checkpoints import load_weights
from bench.models.compressai_models import CompressAIAdapter
from bench.models.zoo import published_weights
from bench.results.rows import OK
from bench.results.store import Store

CONTEXTS = ("bmshj2018-factorized", "mbt2018-mean", "mbt2018", "cheng2020-attn")  # none, hyperprior, autoregressive


def lively(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights with which latents are not all zero; CompressAI's own start is too still."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("g_a", "h_a")) and name.endswith("weight"):
                parameter.mul_(2)
    model.update(force=True)
    return model.eval()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """CompressAI's architectures with few channels at quality 1."""
    for architecture, cfg in zoo_image.cfgs.items():
        monkeypatch.setitem(zoo_image.cfgs, architecture, {1: (8, 12)[: len(cfg[1])]})
    for architecture in zoo_vbr.cfgs:
        monkeypatch.setitem(zoo_vbr.cfgs, architecture, (8, 12))


def padded(image: np.ndarray, left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    return torch.from_numpy(np.pad(image, ((top, bottom), (left, right), (0, 0)))).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("architecture", CONTEXTS)
def test_files_hold_compressais_strings_and_decode_to_its_image(architecture: str, small: None) -> None:
    model = lively(create_model(f"compressai:{architecture}"))
    codec, image = LearnedCodec(model, "cpu", "5"), picture(70, 41)
    encoding = codec.encode(image)
    assert encoding.padding == (29, 11, 29, 12)
    x = padded(image, *encoding.padding)
    with torch.no_grad():
        coded = model.compress(x)
        decoded = model.decompress(coded["strings"], coded["shape"])["x_hat"][0, :, 11:52, 29:99]
        bits = sum(float(-part.double().log2().sum()) for part in model(x)["likelihoods"].values())
    streams = [stream for [stream] in coded["strings"]]
    _, _, shape, packed, _ = unpack_file(encoding.stream, codec._tag())
    assert list(packed) == streams and shape == ()  # the stride tells it
    assert encoding.parts == {"header": len(encoding.stream) - sum(map(len, streams)),
                              **dict(zip(("y", "z"), map(len, streams)))}
    expected = (decoded.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(codec.decode(encoding.stream), expected)
    assert np.array_equal(encoding.reconstruct(), expected)
    assert encoding.estimate_bits() == pytest.approx(bits, rel=1e-9)


@pytest.mark.usefixtures("measured_here")
def test_a_zoo_model_through_the_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(52, 40)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(image).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "variants.yaml").write_text(
        "variants:\n  zoo: {model: compressai:bmshj2018-factorized, lambdas: [0.0018],\n"
        "        options_at: {0.0018: {quality: 1}}}\n")
    own = lively(compressai.zoo.bmshj2018_factorized(quality=1, pretrained=False))
    (tmp_path / "checkpoints" / "zoo").mkdir(parents=True)
    torch.save({"state_dict": own.state_dict()}, tmp_path / "checkpoints" / "zoo" / "0.0018.pth.tar")
    monkeypatch.setenv("BENCH_VARIANTS", str(tmp_path / "variants.yaml"))
    assert main(["evaluate", "--dataset", str(tmp_path / "pictures"), "--codecs", "zoo", "--threads", "1",
                 "--device", "cpu", "--results", str(tmp_path / "results")]) == EXIT_DONE
    (row,) = Store(tmp_path / "results").read("pictures")
    with torch.no_grad():
        coded = own.compress(padded(image, 6, 12, 6, 12))
        decoded = own.decompress(coded["strings"], coded["shape"])["x_hat"][0, :, 12:52, 6:58]
    decoded = (decoded * 255).round().permute(1, 2, 0).double().numpy()
    assert (row.status, row.decode_matches, row.warnings) == (OK, True, ())
    assert row.bytes_y == len(coded["strings"][0][0]) > 100
    assert row.bytes_total == row.bytes_y + row.bytes_header and row.bytes_header == 9
    assert row.bpp == pytest.approx(8 * row.bytes_total / (52 * 40), rel=1e-12)
    assert row.quality["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((decoded - image) ** 2)), rel=1e-9)
    assert row.settings["options"] == {"quality": 1}


@pytest.mark.parametrize("architecture", compressai.zoo.image_models)
def test_every_architecture_of_the_zoo_round_trips(architecture: str, small: None) -> None:
    adapter = CompressAIAdapter(lively(create_model(f"compressai:{architecture}")))
    encoded = adapter.encode_image(torch.rand(1, 3, 64, 64))
    decoded, latents_crc = adapter.decode_image(tuple(encoded.streams.values()), encoded.shape)
    assert latents_crc == encoded.latents_crc is not None
    assert decoded.shape == (1, 3, 64, 64) and torch.equal(decoded, encoded.reconstruct())
    assert 0 <= float(decoded.min()) and float(decoded.max()) <= 1
    assert encoded.estimate_bits() > 0


def test_widths_are_the_zoos_and_relu_is_relu() -> None:
    for quality in (3, 4):
        model = create_model("compressai:cheng2020-attn", quality=quality)
        published = compressai.zoo.cheng2020_attn(quality=quality, pretrained=False)
        shapes = {name: value.shape for name, value in published.state_dict().items()}
        assert {name: value.shape for name, value in model.state_dict().items()} == shapes
    assert type(create_model("compressai:bmshj2018-factorized-relu")).__name__ == "FactorizedPriorReLU"


def test_a_variable_rate_model_keeps_to_the_rate_of_its_quality(small: None) -> None:
    image, lengths = torch.rand(1, 3, 64, 64), []
    for quality in (1, 8):
        model = lively(create_model("compressai:bmshj2018-hyperprior-vbr", quality=quality))
        encoded = CompressAIAdapter(model).encode_image(image)
        scale = model.Gain[quality - 1].detach().abs()
        with torch.no_grad():
            direct = super(type(model).__mro__[1], model).compress(image, inputscale=scale)
        assert list(encoded.streams.values()) == [stream for [stream] in direct["strings"]]
        lengths.append(len(encoded.streams["y"]))
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize(("name", "options", "told"), [
    ("compressai:cheng2021", {}, "cheng2020-attn"),
    ("compressai:", {}, "cheng2020-attn"),
    ("compressai:cheng2020-attn", {"quality": 7}, "quality of cheng2020-attn must be 1 to 6, not 7"),
    ("compressai:mbt2018", {"quality": 0}, "1 to 8"),
    ("compressai:mbt2018-vbr", {"quality": 9}, "1 to 8"),
    ("compressai:mbt2018", {"quality": True}, "1 to 8"),
    ("compressai:mbt2018", {"metric": "psnr"}, "mse, ms-ssim"),
    ("compressai:mbt2018", {"padding_multiple": 0}, "padding_multiple must be"),
    ("compressai:mbt2018", {"pretrained": True}, "it has: quality, metric, padding_multiple"),
])
def test_wrong_choices_name_the_right_ones(name: str, options: dict, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_model(name, **options)
    assert told in str(caught.value)


OLD = {"matrices.": "_matrix", "biases.": "_bias", "factors.": "_factor"}


def test_checkpoints_of_earlier_versions_are_read(small: None) -> None:
    source = lively(create_model("compressai:mbt2018-mean"))
    weights = {}
    for name, value in source.state_dict().items():
        for new, old in OLD.items():
            name = name.replace(f"entropy_bottleneck.{new}", f"entropy_bottleneck.{old}")
        weights[name] = value
    assert "entropy_bottleneck._matrix0" in weights and weights.keys() != source.state_dict().keys()
    weights["gaussian_conditional._quantized_cdf"] = torch.zeros(64, 9, dtype=torch.int32)  # of another table
    model = create_model("compressai:mbt2018-mean").eval()
    report = load_weights(model, weights)
    assert "entropy_bottleneck._quantized_cdf" in report.ignored and not report.filled
    image = torch.rand(1, 3, 64, 64)
    assert CompressAIAdapter(model).encode_image(image).streams == CompressAIAdapter(source).encode_image(image).streams


class Strange(torch.nn.Module):
    """CompressAI's interface with an answer to order."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def compress(self, x: torch.Tensor) -> object:
        return self.answer


@pytest.mark.parametrize("answer", [
    b"", {"strings": [[b""]]}, {"strings": [b""], "shape": (1, 1)}, {"strings": [[b"", b""]], "shape": (1, 1)},
    {"strings": [[[b""]]], "shape": (1, 1)}, {"strings": [[b""]], "shape": {"y": (1, 1)}},
    {"strings": [[b""]], "shape": [(1, 1)]}, {"strings": [[b""]], "shape": (1.0, 1)},
])
def test_nested_answers_are_refused_with_what_is_expected(answer: object) -> None:
    with pytest.raises(CodecError, match="compress\\(x\\) must return .*flat sequence of whole numbers"):
        CompressAIAdapter(Strange(answer)).encode_image(torch.zeros(1, 3, 8, 8))


def test_streams_of_many_parts_are_counted_together() -> None:
    model = Strange({"strings": [[b"1"], [b"22"], [b"333"], [b"4444"]], "shape": torch.Size((1, 2))})
    encoded = CompressAIAdapter(model).encode_image(torch.zeros(1, 3, 8, 8))
    assert dict(encoded.streams) == {"y0": b"1", "y1": b"22", "y2": b"333", "z": b"4444"} and encoded.shape == (1, 2)
    assert LearnedCodec(model, "cpu").encode(picture(8, 8)).parts == {"header": 15, "y": 6, "z": 4}


def test_published_weights_are_found_by_quality_and_metric() -> None:
    assert published_weights("mbt2018-mean", 3, "ms-ssim").endswith("mbt2018-mean-ms-ssim-3-640ce819.pth.tar")
    assert published_weights("mbt2018-vbr").endswith("mbt2018-mse-vbr-f12581a1.pth.tar")
    assert published_weights("mbt2018-vbr", metric="ms-ssim") is None
    assert published_weights("bmshj2018-factorized-relu") is None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serves a folder in CompressAI's place; the names there tell the digest."""
    folder = tmp_path / "served"
    folder.mkdir()
    body = b"weights"
    name = f"mbt2018-mean-1-{hashlib.sha256(body).hexdigest()[:8]}.pth.tar"
    (folder / name).write_bytes(body)
    (folder / "mbt2018-mean-2-00000000.pth.tar").write_bytes(body)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{running.server_port}"
        names = {1: name, 2: "mbt2018-mean-2-00000000.pth.tar", 3: "mbt2018-mean-3-00000000.pth.tar"}
        monkeypatch.setitem(zoo_image.model_urls, "mbt2018-mean",
                            {"mse": {quality: f"{url}/{name}" for quality, name in names.items()}})
        monkeypatch.setenv("no_proxy", "*")
        yield tmp_path / "checkpoints" / "zoo"
        running.shutdown()
        thread.join()


def fetch(folder: Path, qualities: dict[float, int], model: str = "compressai:mbt2018-mean", more: str = "") -> int:
    options = ", ".join(f"{lambda_}: {{quality: {quality}}}" for lambda_, quality in qualities.items())
    path = folder.parents[1] / "variants.yaml"
    path.write_text(f"variants:\n  zoo:\n    model: {model}\n    lambdas: {list(qualities)}\n"
                    f"    options_at: {{{options}}}\n{more}")
    return main(["variants", "zoo", "--fetch", "--file", str(path)])


def test_published_weights_are_fetched_and_checked(server: Path, capsys: pytest.CaptureFixture) -> None:
    assert fetch(server, {0.5: 1}) == EXIT_DONE
    assert [path.name for path in server.iterdir()] == ["0.5.pth.tar"]
    assert (server / "0.5.pth.tar").read_bytes() == b"weights"
    (server / "0.5.pth.tar").write_bytes(b"mine")
    assert fetch(server, {0.5: 1}) == EXIT_DONE
    assert (server / "0.5.pth.tar").read_bytes() == b"mine"


@pytest.mark.parametrize(("quality", "told"), [
    (2, "gives a file whose SHA-256 starts with"), (3, "HTTP 404"), (4, "CompressAI publishes no weights"),
])
def test_wrong_or_missing_weights_leave_nothing(quality: int, told: str, server: Path,
                                                capsys: pytest.CaptureFixture) -> None:
    assert fetch(server, {0.5: quality}) == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err
    assert not server.exists() or not list(server.iterdir())


def test_without_a_network_the_place_for_the_file_is_told(server: Path, monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(zoo_image.model_urls, "mbt2018-mean", {"mse": {1: "http://127.0.0.1:9/a-0123abcd.pth.tar"}})
    assert fetch(server, {0.5: 1}) == EXIT_BAD_INPUT
    shown = capsys.readouterr().err
    assert "can't be reached" in shown and f"put it at {server / '0.5.pth.tar'}" in shown


def test_only_zoo_models_can_be_fetched(server: Path, capsys: pytest.CaptureFixture) -> None:
    assert fetch(server, {0.5: 1}, model="hpcm_base") == EXIT_BAD_INPUT
    assert "no model of CompressAI's zoo" in capsys.readouterr().err
    assert main(["variants", "--fetch"]) == EXIT_BAD_INPUT
    assert fetch(server, {0.5: 1}, more="    metric: ms-ssim\n    options: {metric: mse}\n") == EXIT_BAD_INPUT
    assert "is for ms-ssim, but its option 'metric' is mse" in capsys.readouterr().err

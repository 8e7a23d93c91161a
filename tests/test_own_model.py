"""A user's own model by import path: the example of docs/extending.md, identity, and what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import TINY, picture, tiny_model

from bench.codecs.base import CodecSpec, build_codec
from bench.codecs.learned_codec import LearnedCodec
from bench.common.errors import ConfigurationError
from bench.models import create_model
from bench.results.rows import OK
from bench.results.store import Store
from bench.runners.evaluate.unit import identify

ROOT = Path(__file__).resolve().parents[1]


def documented_example() -> tuple[str, str]:
    """The Python file and the entry of the section on variants in docs/extending.md."""
    section = (ROOT / "docs" / "extending.md").read_text().partition("## A variant")[2].partition("\n## ")[0]
    (code,), (entry,) = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("python", "yaml"))
    return code, entry


def test_the_documented_variant_is_measured_by_copying_it(tmp_path: Path) -> None:
    code, entry = documented_example()
    name = "decaying_context"
    (tmp_path / f"{name}.py").write_text(code)
    others, tiny = "variants:\n  hpcm_base: {model: hpcm_base, lambdas: [1]}\n", f"    options: {TINY}\n"
    (tmp_path / "variants.yaml").write_text(others + entry + tiny)
    weights = {**tiny_model().state_dict(), "keep": torch.tensor(0.4)}
    (tmp_path / "checkpoints" / name).mkdir(parents=True)
    torch.save(weights, tmp_path / "checkpoints" / name / "0.013.pth.tar")
    image = picture(70, 50)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(image).save(tmp_path / "pictures" / "a.png")
    command = [sys.executable, "-m", "bench", "evaluate", "--dataset", "pictures", "--codecs", name,
               "--points", "0.013", "--device", "cpu", "--threads", "1", "--results", "results",
               "--keep-streams", "streams"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_VARIANTS": "variants.yaml"}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (row,) = Store(tmp_path / "results").read("pictures")
    assert (row.status, row.name, row.decode_matches, row.warnings) == (OK, name, True, ())
    assert re.fullmatch("[0-9a-f]{64}", row.identity["source_sha256"])
    stored = (tmp_path / "streams" / "pictures" / name / "0.013" / "a.png.bin").read_bytes()
    base = LearnedCodec(tiny_model(), "cpu").encode(image).stream
    assert row.bytes_total == len(stored) and stored[-row.bytes_y:] != base[-row.bytes_y:]  # the hook is at work


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


MODEL = "from bench.models.hpcm import HPCM\n\nclass Mine(HPCM):\n    pass\n"


def test_a_class_and_a_factory_take_options(modules: Path) -> None:
    write(modules, "own_a.py", MODEL + "\ndef build(M, wide=False) -> Mine:\n"
                               "    return Mine(**{**TINY, 'M': M * (1 + wide)})\n"
                               f"\nTINY = {TINY}\n")
    assert create_model("own_a:Mine", **TINY).M == TINY["M"]
    assert create_model("own_a:build", M=8, wide=True).M == 16
    with pytest.raises(ConfigurationError, match="no option N\n  it has: M, wide"):
        create_model("own_a:build", M=8, N=4)
    with pytest.raises(ConfigurationError, match="no option depth\n  it has: M, N, stages"):
        create_model("own_a:Mine", depth=4)
    with pytest.raises(ConfigurationError, match="can't be built with .*stages"):
        create_model("own_a:Mine", stages=[])


def test_a_model_with_compressais_interface_is_measured(modules: Path) -> None:
    write(modules, "own_b.py", """
from compressai.models import FactorizedPrior

class Small(FactorizedPrior):
    padding_multiple = 16

    def __init__(self, N=8, **options):
        super().__init__(N, 12, **options)

    def compress(self, x):
        self.g_a(x).view(len(x), -1)  # as models do that count on torch's usual memory format
        return super().compress(x)
""")
    torch.manual_seed(0)
    model = create_model("own_b:Small", N=6).eval()
    torch.save(model.state_dict(), modules / "1.pth")
    settings = {"model": "own_b:Small", "options": {"N": 6}, "label": "", "miniature": False, "metric": "mse"}
    codec = build_codec(CodecSpec("learned", "own", "1", {"lambda": 1.0}, settings, {"checkpoint": f"{modules}/1.pth"}))
    encoding = codec.encode(picture(30, 17))
    assert encoding.padding == (1, 7, 1, 8)
    model.update(force=True)
    x = torch.from_numpy(np.pad(picture(30, 17), ((7, 8), (1, 1), (0, 0)))).permute(2, 0, 1)[None].float() / 255
    assert encoding.stream.endswith(model.compress(x)["strings"][0][0])
    assert np.array_equal(codec.decode(encoding.stream), encoding.reconstruct())


def test_an_edited_model_is_measured_again(modules: Path) -> None:
    write(modules, "own_c.py", MODEL)
    write(modules, "own_package/__init__.py", "")
    write(modules, "own_package/models/mine.py", "from own_package.parts import X\n" + MODEL)
    write(modules, "own_package/parts.py", "X = 1\n")
    (modules / "1.pth").write_bytes(b"weights")

    def digest(model: str) -> str:
        settings = {"model": model, "options": {}, "label": "", "miniature": False, "metric": "mse"}
        spec = CodecSpec("learned", "own", "1", {"lambda": 1.0}, settings, {"checkpoint": str(modules / "1.pth")})
        series = identify(spec)
        assert series.fault is None
        return series.digest

    for model, file in (("own_c:Mine", "own_c.py"), ("own_package.models.mine:Mine", "own_package/parts.py")):
        first = digest(model)
        assert digest(model) == first
        write(modules, file, (modules / file).read_text() + "# another line\n")
        assert digest(model) != first
    settings_only = identify(CodecSpec("learned", "own", "1", {}, {"model": "own_none:X", "options": {}, "label": "",
                                       "miniature": False, "metric": "mse"}, {"checkpoint": f"{modules}/1.pth"}))
    assert "can't import 'own_none'" in settings_only.fault


@pytest.mark.parametrize(("code", "name", "told"), [
    ("", "own_missing:Mine", "can't import 'own_missing' .* No module named"),
    ("", "own_{n}:Mine", "has no 'Mine'\n  its models: none"),
    ("import torch\nclass Other(torch.nn.Module): pass\n", "own_{n}:Mine", "its models: Other"),
    ("1 / 0", "own_{n}:Mine", "ZeroDivisionError"),
    ("import sys; sys.exit(7)", "own_{n}:Mine", "can't import 'own_.*SystemExit: 7"),
    (MODEL + "import sys\ndef build() -> Mine: sys.exit(7)", "own_{n}:build", "can't be built with {}: 7"),
    ("Mine = 3", "own_{n}:Mine", "neither a model's class nor a function"),
    ("class Mine: pass", "own_{n}:Mine", "neither a model's class nor a function"),
    (MODEL + "def build() -> Mine: return 3", "own_{n}:build", "gives no model, but 3\n.*encode_image, decode_image"),
    (MODEL + "def build() -> 'Mine': raise KeyError('x')", "own_{n}:build", "can't be built"),
    ("def build(): 1 / 0", "own_{n}:build", "does not say which model it returns\n.*-> MyCodec"),
    ("def build() -> int: 1 / 0", "own_{n}:build", "does not say which model it returns"),
    ("import torch\ndef build() -> torch.nn.Module: 1 / 0", "own_{n}:build", "does not say which model it returns"),
    ("", "torch.nn:Module", "lacks forward"),
    ("def build() -> 'Absent': 1 / 0", "own_{n}:build", "does not say which model it returns"),
    ("import torch\ndef build() -> torch.nn.Linear: 1 / 0", "own_{n}:build", "lacks forward|lacks compress"),
    ("import torch\nclass Mine(torch.nn.Module):\n    def __init__(self): 1 / 0", "own_{n}:Mine", "lacks forward"),
    ("from subprocess import getoutput", "own_{n}:getoutput", "standard library"),
    ("", "torch.nn:Linear", "lacks compress, decompress, update"), ("", "torch.hub:load", "does not say"),
    ("import torch\nclass Mine(torch.nn.Module): pass", "own_{n}:Mine", "lacks forward, compress, decompress, update"),
    ("import torch\nclass Mine(torch.nn.Module):\n    def encode_image(self, x): pass\n"
     "    def decode_image(self, streams, shape): pass", "own_{n}:Mine", "lacks padding_multiple"),
    ("import torch\nclass Mine(torch.nn.Module):\n    def encode_image(self, x): pass", "own_{n}:Mine",
     "lacks decode_image\n.*encode_image, decode_image, padding_multiple"),
    ("", "own_{n}:", "no import path"), ("", "own {n}:X", "no import path"),
])
def test_what_is_no_model_is_refused_with_what_is_expected(code: str, name: str, told: str, modules: Path,
                                                           request: pytest.FixtureRequest) -> None:
    number = f"bad{abs(hash(request.node.name))}"
    write(modules, f"own_{number}.py", code)
    with pytest.raises(ConfigurationError, match=told):
        create_model(name.format(n=number))


@pytest.mark.parametrize("name", ["subprocess:getoutput", "os:system", "os:popen", "builtins:eval", "builtins:exec",
                                  "builtins:open", "shutil:rmtree", "importlib:import_module", "pathlib:Path",
                                  "antigravity:fly", "this:s", "ctypes.util:find_library", "_thread:start_new_thread"])
def test_nothing_of_the_standard_library_is_called_or_imported(name: str, tmp_path: Path) -> None:
    code = ("import sys, bench.models\nbefore = set(sys.modules)\n"
            f"try: bench.models.create_model({name!r}, cmd='touch {tmp_path}/run', command='touch {tmp_path}/run')\n"
            "except bench.models.ConfigurationError as error: print(error)\n"
            f"assert {name.partition(':')[0]!r} in before or {name.partition(':')[0]!r} not in sys.modules")
    if name in ("antigravity:fly", "this:s"):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        assert "standard library" in result.stdout and "Zen" not in result.stdout
    else:
        with pytest.raises(ConfigurationError, match="is of Python's standard library"):
            create_model(name, cmd=f"touch {tmp_path}/run")
    assert not (tmp_path / "run").exists()

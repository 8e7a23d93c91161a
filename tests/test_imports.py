"""What is imported, in processes of their own: workers and decoders pay for each import once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tiny_models import TINY

from bench.common.import_paths import import_alone

HEAVY = ("compressai", "torch_geometric", "torchvision", "pandas", "scipy.stats", "torch._dynamo", "torch._inductor")


def run_python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_coding_with_the_suites_models_imports_nothing_of_compressais_data_sets() -> None:
    assert run_python(f"""
import sys
import numpy as np
from bench.codecs.learned_codec import LearnedCodec
from bench.models import create_model
from bench.runners.machine import configure_torch
assert "torch" not in sys.modules
configure_torch(threads=1, deterministic=True)
model = create_model("hpcm_base", **{TINY})
model.update()
codec = LearnedCodec(model, "cpu")
image = np.zeros((40, 30, 3), np.uint8)
assert codec.decode(codec.encode(image).stream).shape == image.shape
print([name for name in {(*HEAVY, "triton")} if name in sys.modules])
""") == "[]"


def test_part_imported_alone_is_the_one_of_the_whole_package() -> None:
    assert run_python("""
import sys
from bench.common.import_paths import import_alone
bound, coder = import_alone("compressai.ops").LowerBound, import_alone("compressai._CXX").pmf_to_quantized_cdf
assert "compressai" not in sys.modules
import compressai
from compressai.ops import LowerBound
from compressai._CXX import pmf_to_quantized_cdf
from compressai.entropy_models import entropy_models
print(LowerBound is bound is compressai.ops.LowerBound is entropy_models.LowerBound, pmf_to_quantized_cdf is coder)
""") == "True True"


@pytest.mark.parametrize("name", ["there_is_no_such_package.part", "compressai.there_is_no_such_part", "json.tool.x"])
def test_part_that_is_not_there_is_an_import_error(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        import_alone(name)
    assert name not in sys.modules


def test_what_is_forked_after_import_has_no_gpu_in_use() -> None:
    """A process that was forked after CUDA started could not use it."""
    assert run_python("""
import torch
asked = []
torch._C._cuda_getDeviceCount = lambda: asked.append(1) or 0
from bench.models import MODELS, list_imports
import importlib
for model in (*MODELS, "compressai:mbt2018-mean", "my_module:MyCodec"):
    for module in list_imports(model):
        importlib.import_module(module)
print(torch.cuda.is_initialized(), asked)
""") == "False []"


@pytest.mark.parametrize("deterministic", [True, False])
def test_algorithms_are_chosen_as_by_torchs_own_switch(deterministic: bool) -> None:
    assert run_python(f"""
import sys, torch
from bench.runners.machine import configure_torch
def state():
    return (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
            and torch.are_deterministic_algorithms_enabled())
configure_torch(threads=None, deterministic={deterministic})
ours = state()
assert "torch._inductor" not in sys.modules
torch.use_deterministic_algorithms({deterministic}, warn_only=True)
print(ours == state(), ours)
""") == f"True ({deterministic}, {deterministic})"


def test_profiling_the_suites_models_imports_nothing_of_compressais_data_sets() -> None:
    assert run_python(f"""
import sys
import bench.runners.profile.run
print([name for name in {HEAVY} if name in sys.modules])
""") == "[]"

"""Building Bi-WKV's kernels: once, by several processes at a time, after a kill; what happens without a compiler."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.operators import identity, kernels, plain, status
from bench.operators.extension import BuildError, Extension
from tests.test_biwkv import assert_close, random_inputs

ROOT = Path(__file__).parent.parent
SOURCE = kernels.SOURCES["cuda"]
RUN_ONCE = "import torch; from bench.operators import *; k = torch.ones(1, 3, 2); w = k[0, 0]; "
needs_compiler = pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "c++")), reason="no C++ compiler")


def start(code: str, folder: Path, **environment: str) -> subprocess.Popen:
    """Run code in a fresh process that keeps its libraries in ``folder``."""
    variables = {**os.environ, "TORCH_EXTENSIONS_DIR": str(folder), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen([sys.executable, "-c", RUN_ONCE + code], cwd=ROOT, env=variables, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out.strip(), err


@needs_compiler
def test_two_processes_share_one_build_despite_what_a_killed_one_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.delenv("BENCH_NATIVE", raising=False)
    library = kernels.KERNELS.extension("cpu").file
    left_over = library.parent / "build-left" / "lock"
    left_over.parent.mkdir(parents=True)
    left_over.touch()
    assert status("cpu").native and not library.exists()  # asking builds nothing
    code = "print(float(biwkv(w, w, k, k).sum()), status().native)"
    results = [finish(process) for process in [start(code, tmp_path), start(code, tmp_path)]]
    assert results[0][0] == results[1][0]
    assert all(out.endswith("True") and "Warning" not in err for out, err in results)
    assert sorted(path.name for path in library.parent.iterdir()) == sorted([library.name, "building"])
    built = library.stat().st_mtime_ns
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert kernels.KERNELS.extension("cpu").load() and library.stat().st_mtime_ns == built  # it needs no compiler then


def test_plain_torch_on_request_is_silent_and_without_a_compiler_there_is_one_warning(tmp_path):
    code = ("biwkv(w, w, k, k); print(status().label, identity()); import os, sys; print('now', file=sys.stderr); "
            "del os.environ['BENCH_NATIVE']; "
            "biwkv(w, w, k, k); biwkv(w, w, k, k.requires_grad_()).sum().backward(); print(status().label, identity())")
    out, err = finish(start(code, tmp_path, CXX="no-such-compiler", BENCH_NATIVE="0"))
    on_request, after = err.split("now")
    assert out.splitlines() == ["plain torch (BENCH_NATIVE=0) biwkv plain torch",
                                "plain torch (no C++ compiler (no-such-compiler)) biwkv plain torch"]
    assert "Warning" not in on_request and not any(tmp_path.iterdir())
    assert after.count("UserWarning") == 1 and "no C++ compiler (no-such-compiler)" in after


BUILD_TWO = """
import os, sys
from pathlib import Path
from bench.operators.extension import Extension
for number in (7, 8):
    source = Path(sys.argv[1], f"give{number}.cpp")
    source.write_text(f'extern "C" int give() {{ return {number}; }}')
    print(Extension(source.stem, "cpu", source).load().give())
print(sorted(str(path.parent.parent) for path in Path(sys.argv[1]).rglob("give*_cpu_*.so")))
"""


@needs_compiler
@pytest.mark.parametrize("fault", ["closed", "no home", "run"])
def test_where_libraries_cannot_be_kept_they_are_built_for_the_run_alone(fault, tmp_path):
    environment = {**os.environ, "TORCH_EXTENSIONS_DIR": "/proc/nothing/here", "TMPDIR": str(tmp_path)}
    code = BUILD_TWO
    if fault == "no home":
        for name in ("TORCH_EXTENSIONS_DIR", "HOME", "XDG_CACHE_HOME"):
            environment.pop(name, None)
        code = f"import pwd; pwd.getpwuid = {{}}.__getitem__\n{code}"
    if fault == "run":
        environment["BENCH_RUN_FOLDER"] = str(tmp_path / "run")
        (tmp_path / "run").mkdir()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, env=environment, text=True,
                          capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr
    seven, eight, places = done.stdout.splitlines()
    assert (seven, eight) == ("7", "8") and done.stderr.count("built for this run alone") == 1
    kind = str(tmp_path / "run" / "operators") if fault == "run" else str(tmp_path / "bench-operators-")
    assert places.count(kind) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == (["run"] if fault == "run" else [])
    assert not (ROOT / "~").exists()


@needs_compiler
def test_a_source_that_does_not_compile_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    (tmp_path / "wrong.cpp").write_text("int f() { return missing_name; }\n")
    with pytest.raises(BuildError, match="missing_name"):
        Extension("wrong", "cpu", tmp_path / "wrong.cpp").load()


def test_the_name_changes_with_sources_and_headers(tmp_path):
    extension = kernels.KERNELS.extension("cpu")
    header = tmp_path / "biwkv.h"
    header.write_bytes(extension.headers[0].read_bytes())
    assert replace(extension, headers=(header, *extension.headers[1:])).digest == extension.digest
    header.write_text(header.read_text() + "\n")
    assert replace(extension, headers=(header, *extension.headers[1:])).digest != extension.digest
    assert extension.digest in extension.file.name


def test_identity_names_the_kernel(monkeypatch):
    monkeypatch.setenv("BENCH_NATIVE", "0")
    assert identity("cpu") == "biwkv plain torch"
    monkeypatch.delenv("BENCH_NATIVE")
    if status("cpu").native:
        assert identity("cpu") == f"biwkv C++ {kernels.KERNELS.extension('cpu').digest}"
    assert status("mps").identity == "biwkv plain torch"


def test_the_cuda_source_compiles(tmp_path):
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if not nvcc:
        pytest.skip("no nvcc")
    done = subprocess.run([nvcc, "-std=c++17", "-arch=sm_80", "-Werror", "all-warnings", "-c", str(SOURCE), "-o",
                           str(tmp_path / "biwkv.o")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


@needs_compiler
@pytest.mark.parametrize(("tokens", "runs"), [(1, 32), (33, 32), (50, 7), (130, 64)])
def test_the_cuda_source_is_right_thread_by_thread(tokens, runs, cuda_on_cpu):
    """The GPU's kernels on the CPU: their indices and their order, if not their hardware."""
    w, u, k, v, grad = inputs = random_inputs(3, tokens, 5, seed=tokens)
    count = kernels._run_count(tokens, runs)

    def memory(backward: int) -> torch.Tensor:
        size = cuda_on_cpu.biwkv_run_bytes_float64
        size.restype = ctypes.c_int64
        return torch.empty(3 * count * 5 * size(backward), dtype=torch.uint8)

    def call(name: str, *tensors: torch.Tensor) -> None:
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
        sizes = [ctypes.c_int64(size) for size in (3, tokens, 5, runs)]
        assert getattr(cuda_on_cpu, name)(*pointers, *sizes, None) == 0

    y, gk, gv = (torch.full_like(k, torch.nan) for _ in range(3))
    gw, gu = torch.full((2, 3 * count, 5), torch.nan, dtype=k.dtype)
    call("biwkv_forward_float64", w, u, k, v, y, memory(0))
    assert_close([y], [plain.forward(w, u, k, v, runs)], 1e-12)
    call("biwkv_backward_float64", w, u, k, v, grad, gw, gu, gk, gv, k.new_empty(2, *k.shape), memory(1))
    expected = plain.backward(grad, *inputs[:4], runs)
    if tokens == 1:  # all but the gradient of v are residues there
        assert_close([gv], expected[3:], 1e-12)
    else:
        assert_close([gw.sum(0), gu.sum(0), gk, gv], expected, 1e-11)


@pytest.fixture(scope="module")
def cuda_on_cpu(tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("cuda")
    shutil.copy(Path(__file__).parent / "cuda_on_cpu.h", folder / "cuda_runtime.h")
    for header in kernels.KERNELS.extension("cpu").headers:
        shutil.copy(header, folder)
    source, launches = re.subn(r"(\w+)<<<(\w+), (\w+), 0, stream>>>(\(.*?\));", r"launch(\2, \3, [&] { \1\4; });",
                               SOURCE.read_text())
    assert launches == 8
    (folder / "biwkv.cpp").write_text(source)
    subprocess.run([os.environ.get("CXX", "c++"), "-O1", "-std=c++17", "-shared", "-fPIC", "-I.", "biwkv.cpp", "-o",
                    "biwkv.so"], cwd=folder, check=True, timeout=240)
    return ctypes.CDLL(str(folder / "biwkv.so"))

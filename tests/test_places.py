"""Every verb on places that can't be read or written: an error that names the place and what to do, never a traceback.

Each command is run on each fault of each kind of place that it takes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from privileges import binding_permissions
from row_samples import rows_of, write
from tiny_models import picture, tiny_model, write_variants

from bench.cli import main
from bench.common.errors import EXIT_BAD_INPUT
from bench.models.checkpoints import write_weights
from bench.training.search.record import COMPLETE, Trial, write_trial

pytestmark = pytest.mark.filterwarnings("ignore")
Fault = Callable[[Path], Path]  # makes the place at a path unusable; returns the path of such a place

CURVE = "bpp,psnr\n0.1,30\n0.2,32\n0.4,34\n0.8,37\n"
EVALUATE = "evaluate --codecs jpeg --points q55 --metrics psnr"
TRAIN = "train --variant tiny --lambda 0.01 --crop 64 --batch 1 --steps 1 --no-install --cache WORLD/cache"

# Kind of place, where one is in the world, and a command that is given it.
COMMANDS = [
    ("folder in", "pictures", f"{EVALUATE} --dataset PLACE --results WORLD/results"),
    ("folder in", "results", f"{EVALUATE} --dataset WORLD/pictures --results PLACE"),
    ("folder in", "pictures", "assess PLACE --codecs jpeg --results WORLD/results --reports WORLD/reports --plan"),
    ("folder in", "pictures", "datasets verify PLACE"),
    ("folder in", "pictures", "score PLACE WORLD/pictures --metrics psnr"),
    ("folder in", "results", "score --dataset WORLD/pictures --streams WORLD/pictures --codecs jpeg --results PLACE"),
    ("folder in", "results", "reproduce WORLD/pictures --codecs jpeg --images 1 --plan --results PLACE"),
    ("folder in", "results", "crosscheck --dataset WORLD/pictures --codecs tiny --plan --results PLACE"),
    ("folder in", "pictures", "crosscheck --import PLACE --plan --results WORLD/results"),
    ("folder in", "results", "profile tiny --shapes 64x64 --plan --results PLACE"),
    ("folder in", "results", "anchors list --results PLACE"),
    ("folder in", "results", "anchors import WORLD/curve.csv --dataset kodak --name mine --source s --results PLACE"),
    ("folder in", "results", "claims --no-report --results PLACE"),
    ("folder in", "results", "claims --accept --no-report --results PLACE"),
    ("folder in", "results", "report --results PLACE --reports WORLD/reports"),
    ("folder in", "results", "results list --results PLACE"),
    ("folder in", "results", "results migrate --results PLACE"),
    ("folder in", "results", "results prune --results PLACE"),
    ("folder in", "trials", "search --analyse PLACE --reports WORLD/reports"),
    ("folder in", "pictures", f"{TRAIN} --data PLACE --out WORLD/run"),
    ("folder in", "pictures", f"{TRAIN} --data WORLD/pictures --validation PLACE --out WORLD/run"),
    ("file in", "curve.csv", "bdrate PLACE kodak/jpeg"),
    ("file in", "curve.csv", "anchors import PLACE --dataset kodak --name mine --source s --results WORLD/results"),
    ("file in", "results/kodak/jpeg.jsonl", "anchors export PLACE --out WORLD/curve.json"),
    ("file in", "results/kodak/jpeg.jsonl", "bdrate PLACE kodak/jpeg"),
    ("file in", "pictures/0.png", "encode PLACE --variant tiny --lambda 0.01 -o WORLD/out"),
    ("file in", "weights.safetensors",
     "encode WORLD/pictures/0.png --variant tiny --checkpoint PLACE --lambda 0.01 -o WORLD/out"),
    ("file in", "curve.csv", "decode PLACE -o WORLD/out.png"),
    ("file in", "weights.safetensors",
     "evaluate --dataset WORLD/pictures --variant tiny --checkpoint PLACE --points 0.01 --results WORLD/results"),
    ("file in", "pictures/0.png", "profile tiny --image PLACE --plan --results WORLD/results"),
    ("file in", "variants.yaml", "variants tiny --file PLACE"),
    ("file in", "weights.safetensors", f"{TRAIN} --data WORLD/pictures --out WORLD/run --start PLACE"),
    ("folder out", "results", "claims --accept --no-report --results PLACE"),
    ("folder out", "results", "anchors import WORLD/curve.csv --dataset set --name mine --source s --results PLACE"),
    ("folder out", "reports", "report --dataset kodak --results WORLD/results --reports PLACE"),
    ("folder out", "reports", "claims --results WORLD/results --reports PLACE"),
    ("folder out", "reports", "search --analyse WORLD/trials --reports PLACE"),
    ("folder out", "run", f"{TRAIN} --data WORLD/pictures --out PLACE"),
    ("folder out", "other", f"{TRAIN.replace('WORLD/cache', 'PLACE')} --data WORLD/pictures --out WORLD/run"),
    ("folder out", "streams", f"{EVALUATE} --dataset WORLD/pictures --results WORLD/results --keep-streams PLACE"),
    ("folder out", "exported",
     "crosscheck --dataset WORLD/pictures --codecs tiny --results WORLD/results --export PLACE"),
    ("file out", "out.csv", "score WORLD/pictures WORLD/pictures --metrics psnr --csv PLACE"),
    ("file out", "out.xml", "claims --no-report --results WORLD/results --junit PLACE"),
    ("file out", "out.md", "claims --no-report --results WORLD/results --summary PLACE"),
    ("file out", "out.json", "anchors export WORLD/results/kodak/jpeg.jsonl --out PLACE"),
    ("file out", "out.lic", "encode WORLD/pictures/0.png --variant tiny --lambda 0.01 --force -o PLACE"),
    ("file out", "out.png", "decode WORLD/curve.csv --force -o PLACE"),  # before it is known that this is no such file
]


def clear(place: Path) -> Path:
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    return place


def be_a_file(place: Path) -> Path:
    clear(place).write_text("x")
    return place


def be_a_folder(place: Path) -> Path:
    clear(place).mkdir()
    return place


def be_below_a_file(place: Path) -> Path:
    (place.parent / "plain").write_text("x")
    return place.parent / "plain" / place.name


def lead_nowhere(place: Path) -> Path:
    clear(place).symlink_to(place.parent / "nothing" / "here")
    return place


def lead_in_a_circle(place: Path) -> Path:
    clear(place).symlink_to(place)
    return place


def have_a_long_name(place: Path) -> Path:
    return place.with_name("n" * 300 + place.suffix)


def be_closed(place: Path) -> Path:
    if not place.exists():
        place.mkdir()
    place.chmod(0)
    return place


def be_read_only(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    return place


def be_in_a_closed_folder(place: Path) -> Path:
    closed = place.parent / "closed"
    closed.mkdir()
    if place.exists():
        place.rename(closed / place.name)
    closed.chmod(0)
    return closed / place.name


def be_in_a_read_only_folder(place: Path) -> Path:
    folder = place.parent / "read-only"
    folder.mkdir(mode=0o555)
    return folder / place.name


FAULTS: dict[str, list[Fault]] = {
    "folder in": [be_a_file, be_below_a_file, lead_nowhere, lead_in_a_circle, have_a_long_name, be_closed,
                  be_in_a_closed_folder],
    "file in": [be_a_folder, be_below_a_file, lead_nowhere, lead_in_a_circle, have_a_long_name, be_closed,
                be_in_a_closed_folder],
    "folder out": [be_a_file, be_below_a_file, lead_nowhere, lead_in_a_circle, have_a_long_name, be_closed,
                   be_read_only, be_in_a_closed_folder],
    "file out": [be_a_folder, be_below_a_file, have_a_long_name, be_in_a_closed_folder, be_in_a_read_only_folder],
}


@pytest.fixture(scope="module")
def model_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, rows, trials, weights and a curve; all that the commands need is here."""
    world = tmp_path_factory.mktemp("world") / "w"
    (world / "pictures").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(picture(64, 64, number)).save(world / "pictures" / f"{number}.png")
    (world / "results" / "kodak").mkdir(parents=True)
    write(world / "results" / "kodak" / "jpeg.jsonl", rows_of())
    for number in range(2):
        write_trial(world / "trials" / f"trial-{number}", Trial(
            lambda_=0.01, parameters={"gamma": 0.001 * (number + 1)}, state=COMPLETE, steps=1, loss=1.0, bpp=0.1,
            psnr_db=30.0))
    write_variants(world)
    write_weights(tiny_model(), world / "weights.safetensors", {})
    write_weights(tiny_model(), world / "checkpoints" / "tiny" / "0.01.safetensors", {})
    (world / "curve.csv").write_text(CURVE)
    (world / "claims.yaml").write_text("claims:\n  slower: {variant: tiny, metric: decode_time, value: [1, 2], "
                                       "kind: measured, source: README}\n")
    return world


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Permissions bind whoever runs the tests, and what verbs set of torch is undone."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    with binding_permissions():
        yield
        for folder, _, _ in os.walk(tmp_path, topdown=True):
            for name in os.listdir(folder):
                if os.path.isdir(path := os.path.join(folder, name)) and not os.path.islink(path):
                    os.chmod(path, 0o755)  # so that what was closed can be walked into, and removed
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("default")


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(("kind", "where", "command"), COMMANDS, ids=[f"{c.split()[0]} {w}" for _, w, c in COMMANDS])
def test_a_place_that_cannot_be_used_is_told(kind: str, where: str, command: str, model_world: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    accepted = []
    for fault in FAULTS[kind]:
        world = tmp_path / fault.__name__
        shutil.copytree(model_world, world)
        monkeypatch.setenv("BENCH_VARIANTS", str(world / "variants.yaml"))
        monkeypatch.setenv("BENCH_CLAIMS", str(world / "claims.yaml"))
        place = fault(world / where)
        words = [word.replace("PLACE", str(place)).replace("WORLD", str(world)) for word in command.split()]
        status, told = main(words), capsys.readouterr().err
        message, _, hint = told[told.find("error: "):].partition("\n")
        is_named = place.name[:100] in message if fault == have_a_long_name else str(place) in message
        if status != EXIT_BAD_INPUT or not is_named or not hint.strip():
            accepted.append((fault.__name__, status, told))
    assert not accepted, "\n".join(map(str, accepted))

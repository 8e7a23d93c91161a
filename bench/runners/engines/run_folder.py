"""The folder of a run on a cluster, below the results: batches, what their jobs have measured, which jobs those are."""

from __future__ import annotations

import datetime
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock

from bench.common.files import match_files, reading, write_whole, writing
from bench.common.folders import JOBS
from bench.common.locks import FolderInUse, lock_folder
from bench.runners.engines.setup import Setup

_RUN, _SUBMITTED, _LOCK = "run.json", "jobs.jsonl", "lock"


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run says of itself.

    Attributes:
        name: of its folder, which its jobs bear too.
        dataset: what it measures on.
        setup: how.
        begun_at: ISO 8601, UTC.
    """

    name: str
    dataset: str
    setup: Setup
    begun_at: str


class SubmittedJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job, and the batch that it runs."""

    job: str
    batch: str


class RunFolder:
    """Batches, shards and jobs of one run.

    Args:
        path: of the folder.
        run: what it is of.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self.path, self.run = path, run

    @classmethod
    def create(cls, results: Path, dataset: str, setup: Setup) -> RunFolder:
        """Make the folder of a new run below a folder of results."""
        now = datetime.datetime.now(datetime.timezone.utc)
        name = f"bench-{now:%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        run = Run(name=name, dataset=dataset, setup=setup, begun_at=now.isoformat(timespec="seconds"))
        folder = cls((results / JOBS / name).absolute(), run)
        with writing(folder.path, "jobs of a cluster need a folder that they can write, see docs/cluster.md"):
            for part in (folder.batches, folder.shards):
                part.mkdir(parents=True)
            write_whole(folder.path / _RUN, msgspec.json.encode(run))
        return folder

    @classmethod
    def list_all(cls, results: Path) -> list[RunFolder]:
        """Return the folders of all runs below a folder of results, the oldest first.

        Raises:
            BenchError: one can't be read.
        """
        found = []
        for path in match_files(results / JOBS, f"*/{_RUN}"):
            with reading(path, msgspec.DecodeError):
                found.append(cls(path.parent.absolute(), msgspec.json.decode(path.read_bytes(), type=Run)))
        return sorted(found, key=lambda folder: folder.run.begun_at)

    @property
    def batches(self) -> Path:
        """Where the batches are."""
        return self.path / "batches"

    @property
    def shards(self) -> Path:
        """Where their jobs write."""
        return self.path / "shards"

    @property
    def files(self) -> Path:
        """Where pictures and checkpoints are that workers find nowhere else."""
        return files_folder(self.shards / "any")

    @property
    def logs(self) -> Path:
        """Where their jobs print."""
        return self.path / "logs"

    def batch_path(self, batch: str) -> Path:
        """Return the file of a batch."""
        return self.batches / f"{batch}.json"

    def shard_path(self, batch: str) -> Path:
        """Return the shard of a batch."""
        return self.shards / f"{batch}.jsonl"

    def note_jobs(self, jobs: Iterable[SubmittedJob]) -> None:
        """Note which jobs were submitted."""
        with writing(self.path), (self.path / _SUBMITTED).open("ab") as file:
            file.write(b"".join(msgspec.json.encode(job) + b"\n" for job in jobs))

    def list_jobs(self) -> list[SubmittedJob]:
        """Return the jobs that were submitted."""
        with suppress(FileNotFoundError):
            lines = (self.path / _SUBMITTED).read_bytes().split(b"\n")[:-1]
            return [msgspec.json.decode(line, type=SubmittedJob) for line in lines]
        return []

    def lock(self) -> FileLock | None:
        """Be the driver of the run until what is returned is released or forgotten; None where another process is."""
        try:
            return lock_folder(self.path, "drives the jobs", _LOCK)
        except FolderInUse:
            return None

    def remove_batch(self, batch: str) -> None:
        """Remove a batch and its shard, of which all rows are stored."""
        for path in (self.shard_path(batch), self.batch_path(batch)):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def files_folder(shard: Path) -> Path:
    """Return the folder of files that are sent with the batches of a run, as its jobs find it by their shard."""
    return shard.parents[1] / "files"

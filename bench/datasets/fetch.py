"""Fetch the images of a set that are not here yet."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from filelock import AcquireReturnProxy, FileLock, Timeout

from bench.common.errors import DatasetError
from bench.datasets.archives import ArchiveError, extract_files
from bench.datasets.catalogue import ArchiveSpec, DatasetSpec, ImageSpec, Source
from bench.datasets.download import Downloader, DownloadFailed, explain_unwritable, find_fault
from bench.datasets.locate import inspect_image

FAILURES_BEFORE_GIVING_UP = 2
_LARGEST_IMAGE_BYTES = 1 << 28  # where neither size nor dimensions are known


def fetch_missing(spec: DatasetSpec, folder: Path) -> None:
    """Bring the images of ``spec`` that are missing from ``folder`` into it; never touch one that is there.

    Raises:
        DownloadFailed: something is still missing, or the folder can't be written.
        DatasetError: the disk is full, or an archive that the user put there is damaged.
    """
    with _lock(folder):
        missing = [image for image in spec.images if inspect_image(image, folder / image.name).path is None]
        downloader = Downloader()
        if missing and spec.urls:
            _fetch_images(spec, missing, folder, downloader)
        elif missing and spec.archive is not None:
            _fetch_archive(spec.archive, missing, folder, downloader)


def _fetch_images(spec: DatasetSpec, missing: list[ImageSpec], folder: Path, downloader: Downloader) -> None:
    failures: list[DownloadFailed] = []
    for image in missing:
        find_content_fault = partial(_find_image_fault, image) if image.sha256 is None else None
        try:
            downloader.fetch(spec.image_sources(image), folder / image.name, find_content_fault, _most_bytes(image))
        except DownloadFailed as failed:
            failures.append(failed)
            if len(failures) == FAILURES_BEFORE_GIVING_UP:
                break
    if failures:
        raise _join_failures(failures)


def _find_image_fault(image: ImageSpec, path: Path) -> str | None:
    """Decode a new file that no hash vouches for; return why it is not the image."""
    return inspect_image(image, path, decode=True).fault


def _fetch_archive(spec: ArchiveSpec, missing: list[ImageSpec], folder: Path, downloader: Downloader) -> None:
    """Unpack an archive that the user has put into the folder, else download one and remove it afterwards."""
    for source in spec.sources:
        archive = folder / archive_name(source)
        if archive.is_file():
            if (fault := find_fault(source, archive)) is not None:
                raise DatasetError(f"{archive}: {fault}", "delete it and fetch it again")
            return _unpack(spec, missing, archive)
    failures: list[DownloadFailed] = []
    for source in spec.sources:
        archive = folder / archive_name(source)
        try:
            downloader.fetch([source], archive)
            return _unpack(spec, missing, archive)
        except DownloadFailed as failed:
            failures.append(failed)
        except ArchiveError as fault:
            failures.append(DownloadFailed(str(fault), reasons=[f"{archive.name} is not the right archive"]))
        finally:
            archive.unlink(missing_ok=True)
    raise _join_failures(failures)


def _join_failures(failures: list[DownloadFailed]) -> DownloadFailed:
    return DownloadFailed("\n".join(map(str, failures)), reasons=(why for failed in failures for why in failed.reasons))


def archive_name(source: Source) -> str:
    """Return the file name under which an archive is kept."""
    return PurePosixPath(urlsplit(source.url).path).name or "archive"


def _unpack(spec: ArchiveSpec, missing: list[ImageSpec], archive: Path) -> None:
    """Put the wanted members of an archive in place, each checked first."""
    print(f"unpacking {archive.name}", file=sys.stderr, flush=True)
    wanted = {image.name: image for image in missing}
    limits = {image.name: _most_bytes(image) for image in missing}
    folder = archive.parent
    try:
        parts = extract_files(archive, folder, limits, spec.members)
        states = {part: inspect_image(wanted[part.name.removesuffix(".part")], part, decode=True) for part in parts}
        for state in states.values():
            if state.fault is not None:
                raise ArchiveError(f"{archive}: '{state.spec.name}' {state.fault}")
        for part, state in states.items():
            part.replace(folder / state.spec.name)
    except OSError as error:
        raise explain_unwritable(folder, error) from None
    finally:
        for name in wanted:
            (folder / f"{name}.part").unlink(missing_ok=True)


def _most_bytes(image: ImageSpec) -> int:
    """Return the most bytes an image file may have: its size, or somewhat more than its raw samples."""
    if image.size is not None:
        return image.size
    pixels = (image.width or 0) * (image.height or 0) or image.pixels
    return 4 * pixels + (1 << 20) if pixels else _LARGEST_IMAGE_BYTES


def _lock(folder: Path) -> AcquireReturnProxy:
    """Hold the folder for this process; a second one waits until the first has fetched."""
    lock = FileLock(folder / ".lock", thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process that fetches into {folder}", file=sys.stderr, flush=True)
            return lock.acquire()
    except OSError as error:
        raise explain_unwritable(folder, error) from None

"""Runs what a plan leaves to do, and stores each row at once; or codes all of it into a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from bench.common.errors import ConfigurationError
from bench.common.files import file_name, writing
from bench.common.temporary import temporary_folder
from bench.datasets.own_folders import hide_own_results
from bench.results.crosschecks import FOLDER, Crosscheck, store_crosscheck
from bench.results.store import Store
from bench.runners.crosscheck.decode import FileDecoder, SettingServers
from bench.runners.crosscheck.encode import encode_images
from bench.runners.crosscheck.exchange import CodedFile, Manifest, write_manifest
from bench.runners.crosscheck.plan import DECODINGS, FORK_S, IMPORT_S, START, CrosscheckPlan, PlannedUnit
from bench.runners.crosscheck.processes import Uncoded
from bench.runners.crosscheck.settings import apply_setting
from bench.runners.machine import code_version
from bench.runners.machine_lock import measuring
from bench.runners.progress import Progress


class CrosscheckRun:
    """One run of a plan.

    Attributes:
        uncoded: images that could not be encoded, a line each; no row tells of them.
    """

    def __init__(self, plan: CrosscheckPlan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self.uncoded: list[str] = []

    def crosscheck(self, store: Store) -> Iterator[Crosscheck]:
        """Decode what is left to decode, store each row and yield it.

        Raises:
            BenchError: rows or files can't be read or written; what was stored stays.
        """
        dataset = self._plan.dataset
        hide_own_results(store.root / FOLDER / file_name(dataset), dataset)
        with self._start_servers() as servers:
            for planned in self._plan.pending:
                with measuring(self._progress.print_line), self._coded_files(planned, servers) as (folder, files):
                    for row in self._decode(planned, files, folder, servers):
                        store_crosscheck(store.root, row)
                        yield row

    @contextmanager
    def _coded_files(self, planned: PlannedUnit,
                     servers: SettingServers) -> Iterator[tuple[Path, tuple[CodedFile, ...]]]:
        """The files of a unit and their folder, coded now where they are not yet."""
        if self._plan.origin.folder is not None:
            yield self._plan.origin.folder, planned.coded.files
            return
        with temporary_folder("crosscheck") as folder:
            yield folder, self._encode(planned, folder, servers)

    def export(self, folder: Path) -> Manifest:
        """Code everything into ``folder``, and write its manifest.

        Raises:
            BenchError: files can't be written.
        """
        plan = self._plan
        with self._start_servers() as servers:
            units = []
            for planned in plan.pending:
                with measuring(self._progress.print_line):
                    units.append(structs.replace(planned.coded, files=self._encode(planned, folder, servers)))
        manifest = Manifest(
            schema=1, dataset=plan.dataset, encoder_machine=plan.origin.machine, encoder_setting=plan.origin.setting,
            code_version=code_version(), units=tuple(unit for unit in units if unit.files),
            threads=next((planned.unit.threads for planned in plan.pending), None))
        write_manifest(folder, manifest)
        return manifest

    def _start_servers(self) -> SettingServers:
        return SettingServers(sorted({module for planned in self._plan.pending for module in planned.unit.imports}))

    def _encode(self, planned: PlannedUnit, folder: Path, servers: SettingServers) -> tuple[CodedFile, ...]:
        files, since = [], time.monotonic()
        setting = self._plan.origin.setting
        for found in encode_images(apply_setting(planned.unit, setting), folder, servers.find_server(setting)):
            what = f"{planned.unit.spec.name} {planned.unit.spec.point} {found.image}"
            if isinstance(found, Uncoded):
                self.uncoded.append(f"{what}: can't be encoded: {found.kind}: {found.message}")
                self._leave_out(planned, found.image)
                continue

            files.append(found)
            now = time.monotonic()
            self._progress.forecast.finish(planned.kind, planned.coding_s[found.image], now - since)
            self._progress.show(f"{what}, encoding")
            since = now
        return tuple(files)

    def _leave_out(self, planned: PlannedUnit, image: str) -> None:
        forecast, coding_s = self._progress.forecast, planned.coding_s[image]
        forecast.drop(planned.kind, coding_s)
        settings = [setting for setting, images in planned.pending.items() if image in images]
        for setting in settings:
            forecast.drop(planned.name_decoding(setting), coding_s / DECODINGS)
        self._progress.skip_images(len(settings))

    def _decode(self, planned: PlannedUnit, files: tuple[CodedFile, ...], folder: Path,
                servers: SettingServers) -> Iterator[Crosscheck]:
        forecast = self._progress.forecast
        for setting, images in planned.pending.items():
            wanted = [file for file in files if file.image in images]
            if not wanted:
                continue
            since, servers_before = time.monotonic(), servers.started
            with FileDecoder(planned, self._plan.origin, setting, folder, servers) as decoder:
                start_s = FORK_S + IMPORT_S * (servers.started - servers_before)
                forecast.finish(START, start_s, time.monotonic() - since)
                for file in wanted:
                    since = time.monotonic()
                    yield decoder.decode(file)
                    forecast.finish(planned.name_decoding(setting), planned.coding_s[file.image] / DECODINGS,
                                    time.monotonic() - since)
                    self._progress.count_image(f"{planned.coded.name} {planned.coded.point} {file.image} on {setting}")


def prepare_export(folder: Path) -> None:
    """Make the folder of an export.

    Raises:
        ConfigurationError: it holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is there already, and not an empty folder", "export into a new one")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)

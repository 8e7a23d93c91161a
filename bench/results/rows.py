"""The stored row: one codec at one rate point on one image. The only thing that reports read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from bench.common.hashing import digest_json
from bench.metrics.quality import METRICS
from bench.results.schema import Count, Duration, Name, Number, Padding, Positive, Size, StoredRow

OK: Literal["ok"] = "ok"
FAILED: Literal["failed"] = "failed"

Level = Annotated[int, msgspec.Meta(ge=0, le=255)]  # of 8-bit samples, or a difference of two
NiceValue = Annotated[int, msgspec.Meta(ge=-20, le=19)]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Where a row was made: the machine, its libraries, and how the run was set up. Never part of an identity.

    It holds no host names and no paths. Rows of before a field was stored lack it.

    Attributes:
        device: "cpu: <model of the processor>" or "cuda: <model>".
        instructions: the widest vector instructions of that processor: "AVX-512", "AVX2".
        cpus: that the process may use.
        jobs: units measured at the same time.
        threads: torch's.
        deterministic: torch was asked for deterministic algorithms.
        operators: what computes operators of our own: "biwkv C++ b1cc1c87", or plain torch.
        flags: what in the environment changes instructions, such as ``ATEN_CPU_CAPABILITY``.
        libraries: name to version.
        freed_memory_kept: the allocator kept what was freed, so that a pass does not wait for fresh pages.
        engine: what ran the unit: "local", "slurm", "ray".
        node: a salted hash of the machine's name.
        slot: of the node: "gpu1".
        attempt: how often the unit was tried, this time included.
        nice: the process' nice value, where it is not 0.
        cpu_quota: CPUs that a control group allows, where it limits them.
    """

    device: str = ""
    instructions: str | None = None
    cpus: Count | None = None
    jobs: Count | None = None
    system: str = ""
    python: str = ""
    libraries: dict[str, str] = {}
    threads: Count | None = None
    deterministic: bool | None = None
    cuda: str | None = None
    cudnn: Count | None = None
    cudnn_benchmark: bool | None = None
    tf32: bool | None = None
    operators: str | None = None
    flags: dict[str, str] = {}
    freed_memory_kept: bool | None = None
    engine: str | None = None
    node: str | None = None
    slot: str | None = None
    attempt: Count | None = None
    nice: NiceValue | None = None
    cpu_quota: Number | None = None


class ReadIdentity(msgspec.Struct, frozen=True):
    """What is read of an identity, which may hold anything else."""

    settings: dict[str, Any] = {}
    point_settings: dict[str, Any] = {}
    weights_sha256: str = ""


class Row(StoredRow, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True,
          tag_field="schema", tag=StoredRow.SCHEMA):
    """One measurement, or one failure with its reason.

    ``identity`` holds all that decides a result: codec, rate point, settings, weights, coder, revision of the code, for
    classical codecs the library's version; ``series`` is its digest, and ``key`` that of the series together with the
    image. Rows with one key are the same measurement; the last one counts. Where a row was made is ``provenance``,
    which no key holds. Rates are over the original pixels, not the padded ones; bpp counts every byte of the file.
    """

    OPEN_FIELDS: ClassVar[Mapping[str, type[msgspec.Struct]]] = MappingProxyType({"identity": ReadIdentity})

    key: Name
    series: Name
    status: Literal["ok", "failed"]
    dataset: Name
    image: Name
    image_sha256: str  # of the file; where its pixels alone are the catalogue's, that of the catalogue's file
    codec: Name  # kind of codec, the registry's name
    name: Name  # what tables call it: "hpcm_base", "vvenc"
    label: Name
    point: Name
    reason: str | None = None  # why it failed
    dataset_total: Count | None = None  # images in the whole set; None for a folder of the user's
    image_verified: bool | None = None  # it is the catalogue's picture; None where no hash of it is known
    pixels_sha256: str | None = None  # of the original's decoded pixels, 8-bit RGB row by row
    warnings: tuple[str, ...] = ()
    miniature: bool = False
    identity: dict[str, Any] = {}
    colour: str = "RGB"
    width: Size | None = None
    height: Size | None = None
    padding: Padding | None = None
    bytes_total: Count | None = None
    bytes_y: Count | None = None
    bytes_z: Count | None = None
    bytes_header: Count | None = None
    bpp: Positive | None = None
    bpp_estimated: Positive | None = None
    actual_over_estimated: Positive | None = None
    stream_sha256: str | None = None  # of the file
    quality: dict[Name, Number] = {}  # metric to its value of this image
    quality_missing: dict[Name, str] = {}  # metric to the reason why it has no value
    quality_versions: dict[Name, str] = {}  # metric to the version of the code that computed it
    encode_s: Duration | None = None
    decode_s: Duration | None = None
    decode_matches: bool | None = None  # decoder's reconstruction (separate process) == encoder's own
    decode_max_abs_difference: Level | None = None
    reconstruction_sha256: str | None = None  # of the decoded pixels, 8-bit RGB row by row
    provenance: Provenance = Provenance()
    code_version: str = ""  # the suite's, with the commit where it runs from a checkout
    measured_at: str = ""  # ISO 8601, UTC

    @property
    def settings(self) -> dict[str, Any]:
        """All options of the codec beside its rate point."""
        return self.identity.get("settings", {})

    @property
    def point_settings(self) -> dict[str, Any]:
        """The rate point as values."""
        return self.identity.get("point_settings", {})

    def bpp_of(self, part: Literal["y", "z", "header"]) -> float | None:
        """Return the bits per original pixel of one part of the file."""
        size = getattr(self, f"bytes_{part}")
        if size is None or self.width is None or self.height is None:
            return None
        return 8 * size / (self.width * self.height)

    def curve_quality(self, metric: str) -> float | None:
        """Return the quality along a curve of ``metric``, which rises; None where this row has none.

        Args:
            metric: a name in ``METRICS``.

        Returns:
            In the unit that the metric has on curves.

        Raises:
            ConfigurationError: no such metric.
        """
        value = self.quality.get(metric)
        return None if value is None else METRICS.get(metric).curve_value(value)

    def lacks(self, metrics: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of ``metrics`` that this row tells nothing of, or what an older version of their code said."""
        return tuple(name for name in metrics if self.quality_versions.get(name) != METRICS.get(name).version)

    def require_sense(self) -> None:
        """See :meth:`StoredRow.require_sense`: what was measured has a rate, and qualities within their range."""
        if self.status == OK and self.bpp is None:
            raise ValueError("field 'bpp': what was measured has a rate")
        for name, value in self.quality.items():
            if name in METRICS:
                scale = METRICS.get(name).scale
                if not scale.low <= value <= scale.high:
                    raise ValueError(f"field 'quality.{name}': {value:g} is not within {scale.low:g} and "
                                     f"{scale.high:g}")

    @classmethod
    def upgrade(cls, values: dict[str, Any]) -> dict[str, Any]:
        """See :meth:`StoredRow.upgrade`."""
        from bench.results.migration import upgrade_row

        return upgrade_row(values)


def row_key(series: str, dataset: str, image: str, image_sha256: str | None) -> str:
    """Return the key of one measurement.

    The image's name belongs to it because a folder may hold the same picture twice.

    Args:
        series: digest of the identity.
        dataset: name of the dataset.
        image: name of the picture.
        image_sha256: of its file.

    Returns:
        32 hex digits.
    """
    return digest_json({"series": series, "dataset": dataset, "image": image, "image_sha256": image_sha256})

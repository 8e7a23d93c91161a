"""What the entries of all classical codecs have in common: one rate parameter, a few settings, a version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.codecs.base import CODECS, Codec, CodecEntry, CodecSpec, Json
from bench.common.errors import CodecUnavailable, ConfigurationError


@dataclass(frozen=True)
class RateParameter:
    """The parameter that sets the rate, its limits, and the points measured by default.

    ``points`` go from the lowest rate to the highest; a point's label is ``prefix`` and the value. Values are
    whole numbers unless ``fractional``.
    """

    name: str
    prefix: str
    limits: tuple[float, float]
    points: Sequence[float]
    fractional: bool = False


@dataclass(frozen=True)
class ClassicalCodec:
    """One classical codec, to be registered.

    Attributes:
        name: the registry's name.
        label: how plots and tables call it.
        rate: its rate parameter.
        build: settings and the rate parameter's value to the codec.
        version: program and libraries with their versions; may start a program.
        colour: the colour path.
        settings: what a specification may set, with defaults.
        facts: what it may not set but a row should state among the settings.
        missing: None, or what is missing here and how to get it; may start a program.
        revision: raised by hand whenever the code changes what is measured.
    """

    name: str
    label: str
    rate: RateParameter
    build: Callable[[dict[str, Any], Any], Codec]
    version: Callable[[], str]
    colour: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    missing: Callable[[], str | None] = lambda: None
    seconds_per_megapixel: float = 1.0
    revision: int = 1

    def register(self) -> None:
        """Add the codec to the registry."""
        CODECS.add(self.name, CodecEntry(
            build=self._build, identify=self._identify, default_specs=self._default_specs, label=self.label,
            colour=self.colour, available=self.missing, seconds_per_megapixel=self.seconds_per_megapixel,
        ))

    def _build(self, spec: CodecSpec) -> Codec:
        """Build a codec; what is missing here is an error."""
        settings, value = self._merged_settings(spec), self._rate_value(spec)
        if fault := self.missing():
            raise CodecUnavailable(fault)
        return self.build(settings, value)

    def _identify(self, spec: CodecSpec) -> dict[str, Any]:
        """What decides a specification's results."""
        return {
            "codec_version": self.version(),
            "revision": self.revision,
            "settings": {**self._merged_settings(spec), **self.facts},
            "point_settings": dict(spec.point_settings),
        }

    def _default_specs(self) -> list[CodecSpec]:
        """A specification for each default rate point."""
        return [
            CodecSpec(self.name, self.name, f"{self.rate.prefix}{value:g}", {self.rate.name: value},
                      dict(self.settings))
            for value in self.rate.points
        ]

    def _merged_settings(self, spec: CodecSpec) -> dict[str, Any]:
        """Defaults and what a specification sets; an unknown setting is an error."""
        if unknown := sorted(set(spec.settings) - set(self.settings)):
            known = ", ".join(self.settings) or "none"
            raise ConfigurationError(
                f"{self.name} has no setting {', '.join(unknown)}", f"its settings: {known}"
            )
        return {**self.settings, **spec.settings}

    def _rate_value(self, spec: CodecSpec) -> Any:
        """The rate parameter's value of a specification; an impossible one is an error."""
        given = dict(spec.point_settings)
        value: Any = given.pop(self.rate.name, None)
        lowest, highest = self.rate.limits

        kinds = (int, float) if self.rate.fractional else int
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if given or not number or not lowest <= value <= highest:
            kind = "a number" if self.rate.fractional else "a whole number"
            raise ConfigurationError(
                f"the rate point of {self.name} is {dict(spec.point_settings)}",
                f"it sets {self.rate.name} alone, {kind} from {lowest:g} to {highest:g}",
            )
        return value

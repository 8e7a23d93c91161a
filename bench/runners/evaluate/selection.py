"""From the names a user gives to codec specifications, and what of it is missing here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bench.codecs  # noqa: F401  (registers the codecs)
from bench.codecs.base import CODECS, CodecSpec
from bench.codecs.learned import ALL, CLASSICAL, LEARNED, list_specs, load_learned, make_spec
from bench.common.errors import CheckpointError, ConfigurationError
from bench.common.text import EXACT_SUFFIX, format_count, is_among, suggest_name
from bench.models import explain_no_exact
from bench.variants import Variant, find_checkpoints, get_variant, parse_lambda, require_checkpoint


@dataclass(frozen=True)
class Missing:
    """Something that was wanted and can't run here.

    Attributes:
        what: codec or variant, with its rate points where only some are missing.
        reason: why, and where it was looked for.
        named: the user named it; otherwise it came with a group such as "all".
        line: of a variant that has no checkpoint at all, its line of variants; else "".
    """

    what: str
    reason: str
    named: bool
    line: str = ""


@dataclass(frozen=True)
class Chosen:
    """What was asked for: what can run, and what can't."""

    specs: tuple[CodecSpec, ...]
    missing: tuple[Missing, ...]


class NothingToRun(ConfigurationError):
    """All that was asked for is missing here."""

    def __init__(self, missing: tuple[Missing, ...]) -> None:
        super().__init__("nothing to run: all that was asked for is missing", "\n  ".join(describe_missing(missing)))
        self.missing = missing


def choose_codecs(codecs: Sequence[str], points: Sequence[str] = (), *, exact: bool = False) -> Chosen:
    """Return the specifications for names of codecs, of variants, and of the groups all, classical, learned.

    Args:
        points: labels of rate points to keep; none keeps all.
        exact: of variants, their exact configuration, which their own names and that configuration's stand for; what
            decodes classical codecs computes in whole numbers anyway.

    Raises:
        ConfigurationError: an unknown name, or a point that nothing chosen has.
        NothingToRun: all of it is missing.
    """
    if not codecs:
        raise ConfigurationError("no codec is named", f"known: {', '.join(_list_groups(load_learned()))}")
    variants = load_learned()
    found: dict[tuple[str, str], CodecSpec] = {}
    missing: dict[str, Missing] = {}
    names = [name.removesuffix(EXACT_SUFFIX) for name in codecs] if exact else codecs
    for name, named in _expand(names, variants):
        line = ""
        reason: str | None
        new: list[CodecSpec]
        if exact and name in variants and (obstacle := explain_no_exact(variants[name].model)):
            new, reason = [], obstacle
        elif name in variants:
            new, reason = list_specs(variants[name], exact), _describe_lacking(variants[name], points)
            line = variants[name].line or name if not new else ""
        else:
            entry = CODECS.get(name)
            reason = entry.available()
            new = entry.default_specs() if reason is None else []

        if reason is not None:
            missing.setdefault(name, Missing(name, reason, named, line))
        for spec in new:
            found.setdefault((spec.name, spec.point), spec)

    chosen = tuple(spec for spec in found.values() if not points or is_among(spec.point, points))
    _refuse_nothing(chosen, found, tuple(missing.values()), points)
    return Chosen(chosen, tuple(missing.values()))


def describe_missing(missing: Sequence[Missing]) -> list[str]:
    """Return a line for what the user named, with the whole reason, and one for all variants without checkpoints.

    What else came with a group has the first line of its reason.
    """
    reasons: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for one in missing:
        if one.line and not one.named:
            lines[one.line] = lines.get(one.line, 0) + 1
        else:
            reason = one.reason if one.named else one.reason.partition("\n")[0]
            reasons.setdefault(reason, []).append(one.what)

    told = [f"{', '.join(whats)}: {reason}".replace("\n", "\n    ") for reason, whats in reasons.items()]
    if lines:
        counts = [f"{line} ({format_count(number, 'variant') if not index else number})"
                  for index, (line, number) in enumerate(lines.items())]
        told.append(f"checkpoints of {', '.join(counts)}: put them at checkpoints/<variant>/<λ>.pth.tar;"
                    " `python -m bench variants` lists where it looks")
    return told


def choose_checkpoint(file: str, variant: str, points: Sequence[str], *, exact: bool = False) -> Chosen:
    """Return the specification of one checkpoint file; its λ is ``points[0]``, else the file's name.

    Raises:
        ConfigurationError: no such variant or file, a λ that can't be read, or no exact configuration where it is
            asked for.
    """
    entry, path = get_variant(variant), Path(file)
    if exact and (obstacle := explain_no_exact(entry.model)):
        raise ConfigurationError(f"'{variant}': {obstacle}", "leave out --exact")
    require_checkpoint(path)
    if len(points) > 1:
        raise ConfigurationError("one checkpoint has one rate point", "give its λ alone: --points 0.0067")
    text = points[0] if points else path.name.removesuffix(".tar").rpartition(".")[0]
    try:
        lambda_ = parse_lambda(text)
    except ConfigurationError:
        raise ConfigurationError(f"can't tell the λ of {file} from '{text}'",
                                 "give it with --points, such as --points 0.0067") from None
    if entry.options_at and lambda_ not in entry.lambdas:
        known = ", ".join(f"{known:g}" for known in entry.lambdas)
        raise ConfigurationError(f"variant '{variant}' has other options at each λ, and none for {lambda_:g}",
                                 f"its λ: {known}")
    return Chosen((make_spec(entry, lambda_, path, exact),), ())


def choose_point(variant: str, lambda_: float | None, checkpoint: str | None = None, *,
                 exact: bool = False) -> CodecSpec:
    """Return the specification of a variant at one λ, with the checkpoint that is found for it or given.

    Args:
        lambda_: None where the name of ``checkpoint`` tells it.

    Raises:
        ConfigurationError: no such variant or file, or it is not of this λ, or λ is not known.
        CheckpointError: there are no weights.
    """
    if checkpoint is not None:
        return choose_checkpoint(checkpoint, variant, [] if lambda_ is None else [str(lambda_)], exact=exact).specs[0]
    entry = get_variant(variant)
    if exact and (obstacle := explain_no_exact(entry.model)):
        raise ConfigurationError(f"'{variant}': {obstacle}", "leave out --exact")
    point, known = f"{lambda_ or 0:g}", {found.point: found for found in find_checkpoints(entry)}
    if point not in known:
        lacking = "needs a λ" if lambda_ is None else f"has no λ {point}"
        raise ConfigurationError(f"variant '{variant}' {lacking}",
                                 f"its λ: {', '.join(known)}; weights of another one are given by --checkpoint")
    found = known[point]
    if found.path is None:
        raise CheckpointError(f"there are no weights of {variant} at λ {point}",
                              f"looked for {', '.join(map(str, found.looked_in))}; or name a file by --checkpoint")
    return make_spec(entry, found.lambda_, found.path, exact)


def _expand(codecs: Sequence[str], variants: dict[str, Variant]) -> list[tuple[str, bool]]:
    """Return (name, named by the user) for every codec and variant, groups resolved."""
    groups = _list_groups(variants)
    names: list[tuple[str, bool]] = []
    for text in codecs:
        if text in groups:
            names += [(name, False) for name in groups[text]]
        elif text in variants or text in CODECS:
            names.append((text, True))
        else:
            raise ConfigurationError(f"there is no codec or variant '{text}'",
                                     suggest_name(text, [*groups, *groups[ALL]]))
    return names


def _list_groups(variants: dict[str, Variant]) -> dict[str, list[str]]:
    """Return the groups of codecs and variants, and what is in each."""
    classical = [name for name in CODECS if name != LEARNED]
    return {CLASSICAL: classical, LEARNED: list(variants), ALL: [*variants, *classical]}


def _describe_lacking(variant: Variant, points: Sequence[str]) -> str | None:
    """Say which checkpoints of a variant are not here, if any, and where they were looked for."""
    lacking = [found for found in find_checkpoints(variant)
               if found.path is None and (not points or is_among(found.point, points))]
    if not lacking:
        return None
    folders = dict.fromkeys(str(path.parent) for found in lacking for path in found.looked_in)
    files = [path.name for path in lacking[0].looked_in]
    points_text = ", ".join(found.point for found in lacking)
    reason = f"no checkpoint for λ = {points_text}; looked in {', '.join(folders)} for {', '.join(files)}"
    return reason + (", ..." if len(lacking) > 1 else "")


def _refuse_nothing(chosen: tuple[CodecSpec, ...], found: dict[tuple[str, str], CodecSpec],
                    missing: tuple[Missing, ...], points: Sequence[str]) -> None:
    unknown = [point for point in points if not is_among(point, (known for _, known in found))]
    if unknown and found:
        known = "; ".join(f"{name}: {', '.join(point for other, point in found if other == name)}"
                          for name in dict.fromkeys(name for name, _ in found))
        raise ConfigurationError(f"nothing chosen has the rate point {', '.join(unknown)}", known)
    if not chosen:
        raise NothingToRun(missing)

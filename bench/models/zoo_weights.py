"""Downloads CompressAI's published weights of a variant of its zoo, checked by the digits in their names."""

from __future__ import annotations

from pathlib import Path

from bench.common.errors import CheckpointError, ConfigurationError, DatasetError
from bench.common.hashing import sha256_of
from bench.common.import_paths import ZOO
from bench.datasets.catalogue import Source
from bench.datasets.download import Downloader
from bench.variants import Variant, find_checkpoints


def fetch_weights(variant: Variant) -> None:
    """Download the weights of each λ of a variant to the first place where its checkpoint is looked for.

    Those that are here stay as they are.

    Args:
        variant: of CompressAI's zoo.

    Raises:
        ConfigurationError: the variant is none of CompressAI's zoo, or an option is wrong.
        CheckpointError: there are no published weights for its options, or they can't be had; nothing is left in
            the checkpoint's place then.
    """
    wanted = [(found, _address(variant, found.lambda_)) for found in find_checkpoints(variant) if found.path is None]
    downloader = Downloader()
    for found, url in wanted:
        _fetch(downloader, url, found.looked_in[0])


def _address(variant: Variant, lambda_: float) -> str:
    """Address of a variant's published weights at one λ."""
    from bench.models.zoo import published_weights

    if not variant.model.startswith(ZOO):
        raise ConfigurationError(f"variant '{variant.name}' is no model of CompressAI's zoo",
                                 "there are no weights to fetch for it; see the README for where to put a checkpoint")
    options = {"metric": variant.metric, **variant.options_for(lambda_)}
    if options["metric"] != variant.metric:
        raise ConfigurationError(f"{variant.where}: variant '{variant.name}' is for {variant.metric}, but its option"
                                 f" 'metric' is {options['metric']}")
    chosen = {key: options[key] for key in ("quality", "metric") if key in options}
    try:
        url = published_weights(variant.model.removeprefix(ZOO), **chosen)
    except ValueError as error:
        raise ConfigurationError(f"{variant.where}: variant '{variant.name}': {error}") from None
    if url is None:
        raise CheckpointError(f"CompressAI publishes no weights of {variant.model} with {chosen}")
    return url


def _fetch(downloader: Downloader, url: str, target: Path) -> None:
    """Download to a file beside ``target`` and move it there when its SHA-256 starts as its name says."""
    arriving = target.with_name(f"{target.name}.unchecked")
    try:
        downloader.fetch([Source(url)], arriving)
        digits, digest = url.removesuffix(".pth.tar").rpartition("-")[2], sha256_of(arriving)
        if not digest.startswith(digits):
            arriving.unlink()
            raise CheckpointError(f"{url} gives a file whose SHA-256 starts with {digest[:8]}, not {digits}",
                                  "try again, or get it elsewhere and put it at " + str(target))
        arriving.replace(target)
    except DatasetError as error:
        raise CheckpointError(f"{error.args[0]}", f"get it elsewhere and put it at {target}") from None

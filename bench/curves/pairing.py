"""Which images two curves share: the same pictures, whatever their files are called."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from bench.common.errors import ConfigurationError
from bench.common.text import list_names
from bench.curves.rd_curve import Content, RDCurve
from bench.datasets.catalogue import load_catalogue

PICTURES = "pictures_sha256"  # the key of a file's ``meta``: digests of pixels
MEASURE_BOTH = "measure both on one set: python -m bench evaluate --dataset NAME_OR_FOLDER"
LEAST_SHARE_OF_IMAGES = 0.5  # of the smaller side: a number over fewer would tell of neither


class NoSharedImages(ConfigurationError):
    """Single images of two curves are known, and none or too few are in both."""


def average_over_shared_images(first: RDCurve, second: RDCurve, metric: str) -> tuple[RDCurve, RDCurve]:
    """Return both curves averaged over the images that both know ``metric`` of, under the first one's names.

    Where one of them is known only as averages, and says over which pictures, the other one is averaged over these.

    Args:
        first, second: of one dataset.
        metric: a name in ``METRICS``.

    Returns:
        Both curves, as they are where one of them is known only as averages over nobody knows which pictures.

    Raises:
        NoSharedImages: they share no image, or fewer than half of the smaller side's; or one of them is known only as
            averages over pictures that the other lacks.
        ConfigurationError: no such metric.
    """
    own, other = first.images_with(metric), second.images_with(metric)
    if not (own and other):
        return _average_over_stated(first, own, second, other)

    pairs = _pair_images(first, own, second, other)
    if len(pairs) < max(1, LEAST_SHARE_OF_IMAGES * min(len(own), len(other))):
        raise NoSharedImages(_describe_lack(first, own, second, other, len(pairs)),
                             MEASURE_BOTH)
    return first.over(pairs), _rename_images(second.over(pairs.values()), pairs)


def find_pictures(curve: RDCurve) -> frozenset[str]:
    """Return the SHA-256 of the pixels of each picture that a curve goes over; none where not all are known."""
    if not curve.per_image:
        stated = curve.meta.get(PICTURES)
        return frozenset(map(str, stated)) if isinstance(stated, list) else frozenset()
    contents = _find_contents(curve)
    known = [contents[image].pixels_sha256 for image in curve.per_image if image in contents]
    whole = len(known) == len(curve.per_image) and None not in known
    return frozenset(filter(None, known)) if whole else frozenset()


def _average_over_stated(first: RDCurve, own: set[str], second: RDCurve, other: set[str]) -> tuple[RDCurve, RDCurve]:
    """Return both curves over the pictures that one of them, known only as averages, goes over."""
    pictures = find_pictures(first), find_pictures(second)
    if not all(pictures) or pictures[0] == pictures[1]:
        return first, second
    if own and pictures[1] < pictures[0]:
        return first.over(_choose_pictures(first, own, pictures[1])), second
    if other and pictures[0] < pictures[1]:
        return first, second.over(_choose_pictures(second, other, pictures[0]))

    counts = f"{len(pictures[0])} and {len(pictures[1])}, of which {len(pictures[0] & pictures[1])} are the same"
    raise NoSharedImages(f"{first.label} and {second.label} go over different pictures: {counts}", MEASURE_BOTH)


def _choose_pictures(curve: RDCurve, images: Iterable[str], pictures: Collection[str]) -> list[str]:
    contents = _find_contents(curve)
    return [image for image in images if contents[image].pixels_sha256 in pictures]


def _pair_images(first: RDCurve, own: set[str], second: RDCurve, other: set[str]) -> dict[str, str]:
    """Return the images of ``own`` that are in ``other``, and what they are called there."""
    same_set = not first.dataset or not second.dataset or first.dataset == second.dataset
    if same_set and not (first.contents and second.contents):
        return {image: image for image in sorted(own & other)}  # published values say only names

    pixels, files = _index_contents(_find_contents(second), other)
    contents, pairs = _find_contents(first), {}
    for image in sorted(own & set(contents)):
        content = contents[image]
        found = pixels.get(content.pixels_sha256 or "") or files.get(content.file_sha256 or "")
        if found is not None:
            pairs[image] = found
    return pairs


def _index_contents(contents: Mapping[str, Content], images: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of images by the digest of their pixels and by that of their file."""
    known = {image: contents[image] for image in sorted(images) if image in contents}
    return ({content.pixels_sha256: image for image, content in known.items() if content.pixels_sha256},
            {content.file_sha256: image for image, content in known.items() if content.file_sha256})


def _find_contents(curve: RDCurve) -> Mapping[str, Content]:
    """The digests of a curve's images: its rows', else those that the catalogue has of its dataset."""
    spec = load_catalogue().get(curve.dataset)
    if curve.contents or spec is None:
        return curve.contents
    return {image.name: Content(image.pixels_sha256, image.sha256) for image in spec.images}


def _rename_images(curve: RDCurve, pairs: Mapping[str, str]) -> RDCurve:
    """Return a curve with the images that are called ``pairs``' values under the names of its keys."""
    if all(name == image for name, image in pairs.items()):
        return curve
    return replace(curve, per_image={name: curve.per_image[image] for name, image in pairs.items()},
                   contents={name: curve.contents[image] for name, image in pairs.items() if image in curve.contents})


def _describe_lack(first: RDCurve, own: set[str], second: RDCurve, other: set[str], paired: int) -> str:
    both = f"{first.label} and {second.label}"
    if paired:
        return f"{both} share only {paired} of {len(own)} and {len(other)} images"
    if names := sorted(own & other):
        shown = list_names(names, most=3)
        return f"{both} have no image in common: files of the same names hold other pictures ({shown})"
    return f"{both} have no image in common"

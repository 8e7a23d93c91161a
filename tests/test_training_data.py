"""Training images: what is decoded, which crops are drawn, and that nothing but seed and number decides."""


import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import picture
from training_samples import CROP, decoded, photographs  # noqa: F401

from bench.common.errors import DatasetError
from bench.datasets import resolve_dataset
from bench.datasets.listing import PICTURE_SUFFIXES, list_pictures
from bench.training.data import RandomCrops, as_input, crop_centres, decode_folders, load_batches, number_crops


def numbered(tmp_path, *sizes):
    """Images in which every pixel is its own: (row, column, which image)."""
    folder = tmp_path / "numbered"
    folder.mkdir()
    for which, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[:height, :width]
        pixels = np.stack([rows, columns, np.full_like(rows, which)], axis=-1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{which}.png")
    return decode_folders([folder], 5, tmp_path / "cache")


def test_decoded_images_are_those_of_the_files(photographs, decoded):
    found = {image.tobytes() for image in decoded.images()}
    assert found == {picture(96, 80, seed).tobytes() for seed in range(4)}


def test_images_are_decoded_once_and_again_when_the_folder_changes(photographs, decoded, tmp_path):
    before = decoded.file.stat().st_mtime_ns
    again = decode_folders([photographs], CROP, tmp_path / "cache")
    assert again == decoded and again.file.stat().st_mtime_ns == before
    Image.fromarray(picture(70, 70, 9)).save(photographs / "new.png")
    assert len(decode_folders([photographs], CROP, tmp_path / "cache")) == 5


@pytest.mark.parametrize("harm", ["gone", "short", "index"])
def test_a_damaged_cache_is_made_anew(harm, photographs, decoded, tmp_path):
    pixels = decoded.file.read_bytes()
    if harm == "gone":
        decoded.file.unlink()
    elif harm == "short":
        decoded.file.write_bytes(pixels[:100])
    else:
        decoded.file.with_suffix(".json").write_text('{"shapes"')
    again = decode_folders([photographs], CROP, tmp_path / "cache")
    assert again == decoded and again.file.read_bytes() == pixels


def test_crops_of_another_size_use_the_same_file(photographs, decoded, tmp_path):
    small = decode_folders([photographs], 16, tmp_path / "cache")
    assert small.file == decoded.file and len(small) == 5 and len(decoded) == 4
    assert picture(32, 80).tobytes() in {image.tobytes() for image in small.images()}


def test_images_of_more_than_8_bits_are_refused(photographs, tmp_path):
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(photographs / "deep.png")
    with pytest.raises(DatasetError, match="deep.png has more than 8 bits"):
        decode_folders([photographs], CROP, tmp_path / "cache")


def test_pictures_are_read_as_in_an_evaluation(photographs, tmp_path):
    """What is not seen of a picture is not trained on: hidden colours, bits that are cut."""
    rgba = np.dstack([picture(80, 80), np.full((80, 80), 128, np.uint8)])
    Image.fromarray(rgba).save(photographs / "clear.png")
    with pytest.raises(DatasetError, match="clear.png has transparent pixels\n  flatten it"):
        decode_folders([photographs], CROP, tmp_path / "cache")
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(photographs / "clear.png")  # nothing is hidden
    decoded = decode_folders([photographs], CROP, tmp_path / "cache")
    assert picture(80, 80).tobytes() in {image.tobytes() for image in decoded.images()}


def test_training_lists_what_evaluation_does(photographs, tmp_path):
    def list_names() -> tuple[list[str], list[str]]:
        listed = list_pictures([photographs], PICTURE_SUFFIXES, below=True)
        return [image.name for image in resolve_dataset(photographs).images], [path.name for path in listed]

    before = list_names()
    assert 0 < len(before[0]) <= len(before[1])
    (photographs / "__MACOSX").mkdir()
    for name in ("._0.png", ".hidden.png", "__MACOSX/0.png", "__MACOSX/._0.png"):
        (photographs / name).write_bytes(b"\0\5\x16\7Mac OS X")
    assert list_names() == before


def test_links_are_followed_once(photographs, tmp_path):
    """Behind a link, behind two, in a loop, and named as well."""
    wanted = {image.tobytes() for image in decode_folders([photographs], CROP, tmp_path / "cache").images()}
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).symlink_to(photographs, target_is_directory=True)
    (photographs / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    for folders in ([tmp_path / "data"], [tmp_path / "data" / "a"], [tmp_path / "data", photographs]):
        decoded = decode_folders(folders, CROP, tmp_path / "cache")
        assert len(decoded) == len(wanted) == 4 and {image.tobytes() for image in decoded.images()} == wanted


@pytest.mark.parametrize("name", ["gone.png", "gone"])
def test_broken_links_are_named(name, photographs, tmp_path):
    (photographs / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=f"lead nowhere: .*{name} to .*nowhere"):
        decode_folders([photographs], CROP, tmp_path / "cache")
    if name.endswith(".png"):
        with pytest.raises(DatasetError, match=f"lead nowhere: .*{name} to .*nowhere"):
            resolve_dataset(photographs)


def test_small_images_are_left_out_and_none_is_an_error(photographs, tmp_path):
    with pytest.raises(DatasetError, match="5 images seen"):
        decode_folders([photographs], 256, tmp_path / "cache")


def test_an_image_that_cannot_be_read_is_named(photographs, tmp_path):
    (photographs / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DatasetError, match="broken.png"):
        decode_folders([photographs], CROP, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_crops_are_parts_of_images_flipped_both_ways_and_every_place_is_equally_likely(tmp_path):
    crops = RandomCrops(numbered(tmp_path, (9, 8), (6, 5)), 5, seed=0)
    seen = {}
    for number in range(4000):
        part = crops[number].numpy().astype(int)
        assert part.shape == (3, 5, 5)
        down, right = part[0, 1, 0] - part[0, 0, 0], part[1, 0, 1] - part[1, 0, 0]
        assert abs(down) == abs(right) == 1
        assert np.array_equal(part[0], part[0, 0, 0] + down * np.arange(5)[:, None] + np.zeros(5, int))
        assert np.array_equal(part[1], part[1, 0, 0] + right * np.arange(5) + np.zeros((5, 1), int))
        place = (part[2, 0, 0], part[0].min(), part[1].min(), down, right)
        seen[place] = seen.get(place, 0) + 1
    places = 5 * 4 + 2 * 1
    assert len(seen) == places * 4
    expected = 4000 / len(seen)
    chi_squared = sum((count - expected) ** 2 / expected for count in seen.values())
    assert chi_squared < 87 + 5 * np.sqrt(2 * 87)  # 87 degrees of freedom


def test_a_crop_depends_on_seed_and_number_alone(decoded):
    first, second = RandomCrops(decoded, CROP, seed=3), RandomCrops(decoded, CROP, seed=3)
    drawn = [first[number] for number in range(8)]
    assert all(torch.equal(second[number], drawn[number]) for number in reversed(range(8)))
    other = RandomCrops(decoded, CROP, seed=4)
    assert not all(torch.equal(other[number], drawn[number]) for number in range(8))


def test_worker_processes_give_the_same_batches_in_the_same_order(decoded):
    crops = RandomCrops(decoded, CROP, seed=0)
    alone, ahead = (load_batches(crops, number_crops(range(2, 6), 4), workers) for workers in (0, 2))
    alone = list(alone)
    assert len(alone) == 4 and alone[0].shape == (4, 3, CROP, CROP) and alone[0].dtype == torch.uint8
    assert torch.equal(alone[0][1], crops[2 * 4 + 1])
    for a, b in zip(alone, ahead, strict=True):
        assert torch.equal(a, b)


def test_processes_share_a_batch(decoded):
    whole = [list(numbers) for numbers in number_crops(range(1, 3), 6)]
    shares = [number_crops(range(1, 3), 6, process, 3) for process in range(3)]
    together = [[*first, *second, *third] for first, second, third in zip(*shares)]
    assert together == whole == [[6, 7, 8, 9, 10, 11], [12, 13, 14, 15, 16, 17]]


def test_centres_and_input_range(tmp_path):
    parts = crop_centres(numbered(tmp_path, (9, 8), (6, 5)), 5)
    assert parts.shape == (2, 3, 5, 5)
    assert parts[0, 0].min() == 2 and parts[0, 1].min() == 1  # (9 - 5) // 2, (8 - 5) // 2
    assert parts[1, 0].min() == 0 and parts[1, 1].min() == 0
    assert len(crop_centres(numbered_more(tmp_path), 5, most=3)) == 3
    x = as_input(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    assert x.dtype == torch.float32 and x.flatten().tolist() == [0.0, 1.0]


def numbered_more(tmp_path):
    (tmp_path / "more").mkdir()
    return numbered(tmp_path / "more", *[(6, 6)] * 7)

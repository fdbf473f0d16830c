"""Every image is read: damage is counted and named, and the hash is of every byte and label."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.data.contents import read_contents
from gauss_vit.data.mask_counts import NO_MASKS, count_mask
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.data.sources.subsets import take
from tests.data.samples import encode, noise_source
from tests.data.sources.folder_samples import make_folder
from tests.data.sources.mask_samples import drawn_mask, make_mask_folder
from tests.data.test_config import DATA


def contents_of(source, num_threads=0, **options):
    return read_contents(source, max_pixels=10**6, num_threads=num_threads, **options)


def test_threads_change_nothing_and_progress_ends_with_the_last_example():
    source, seen = noise_source(300), []
    whole = contents_of(source, report=seen.append)
    assert (whole.num_examples, whole.num_damaged, seen) == (300, 0, [256, 300])
    assert contents_of(source, num_threads=3) == whole


def test_the_hash_depends_on_every_byte_and_on_order_and_labels(tmp_path):
    source = noise_source(3)
    digests = {
        contents_of(take(source, np.asarray(order), split="x")).digest for order in ((0, 1, 2), (1, 0, 2), (0, 1))
    }
    longer = dataclasses.replace(source, images=(*source.images[:2], source.images[2] + b"x"))
    moved = make_folder(tmp_path, {"a": 2, "b": 1})
    before = contents_of(open_folder(moved, "all")).digest
    (moved / "a/001.png").rename(moved / "b/!.png")
    assert len({*digests, contents_of(longer).digest, before, contents_of(open_folder(moved, "all")).digest}) == 6


@pytest.mark.parametrize("num_threads", [0, 2])
def test_damaged_images_are_counted_and_named(tmp_path, num_threads):
    root = make_folder(tmp_path, {"a": 9, "b": 2})
    for index in range(7):
        path = root / f"a/{index:03d}.png"
        path.write_bytes(path.read_bytes()[:60])
    found = contents_of(open_folder(root, "all"), num_threads)
    assert (found.num_examples, found.num_damaged, len(found.damaged)) == (11, 7, 7)
    assert [f"a/{index:03d}.png" in problem for index, problem in enumerate(found.damaged)] == [True] * 7
    assert str(found).startswith("11 images decoded, 7 damaged, contents ")
    assert contents_of(open_folder(root, "all")).digest == found.digest


@pytest.mark.parametrize("num_threads", [0, 2])
def test_masks_are_counted_and_hashed_but_for_damaged_ones(tmp_path, num_threads):
    root = make_mask_folder(tmp_path, {"": 4})
    data = dataclasses.replace(DATA, name="mask_folder", targets="masks", data_dir=str(root))
    whole = contents_of(splits.open_split(data, "all"), num_threads)
    assert whole.masks == sum((count_mask(drawn_mask(index)) for index in range(4)), start=NO_MASKS)
    (root / "masks/001.png").write_bytes(encode(np.full((9, 12), 9, np.uint8)))
    (root / "masks/003.png").write_bytes(encode(drawn_mask(0)))
    found = contents_of(splits.open_split(data, "all"), num_threads)
    assert (found.num_damaged, found.masks.num_masks) == (1, 3)
    assert found.damaged[0].startswith(f"{root}/masks/001.png (index 1): the value 9 stands for no class")
    assert found.digest != whole.digest

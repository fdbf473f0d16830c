"""Folders of images and masks: pairs by name, in every layout, and one line about what does not fit."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.batches import IGNORED
from gauss_vit.data import pipeline
from gauss_vit.data.config import Data
from gauss_vit.data.examples import PaintedSource, Source, palette_of
from gauss_vit.data.image_sizes import image_sizes
from gauss_vit.data.images.header import ORIENTATION_TAG
from gauss_vit.data.images.transforms import Resize
from gauss_vit.data.skips import Skips
from gauss_vit.data.sources import splits
from gauss_vit.data.sources.relabelled import with_classes
from gauss_vit.errors import DataError
from gauss_vit.palette import generated_palette
from tests.data.samples import encode
from tests.data.sources.mask_samples import HEIGHT, WIDTH, drawn_image, drawn_mask, make_mask_folder
from tests.data.test_config import DATA


def data(root: Path, **changes) -> Data:
    """A config that reads a folder of masks."""
    return dataclasses.replace(DATA, name="mask_folder", targets="masks", data_dir=str(root), **changes)


def opened(root: Path, split: str = "all", **changes) -> Source:
    return splits.open_split(data(root, **changes), split)


def refusal(root: Path, split: str = "all", **changes) -> DataError:
    """The error about a folder, or about its first example."""
    with pytest.raises(DataError) as caught:
        opened(root, split, **changes)[0]
    return caught.value


def test_a_source_gives_encoded_images_and_decoded_masks(tmp_path: Path):
    source = opened(make_mask_folder(tmp_path, {"": 3}))
    assert isinstance(source, PaintedSource)
    assert (len(source), source.class_names, source.num_classes) == (3, ("sky", "road", "car"), 3)
    assert palette_of(source) == generated_palette(3)
    example = source[2]
    assert example.image == drawn_image(2)
    assert (example.name, example.targets.size) == (f"{tmp_path}/images/002.jpg (index 2)", None)
    np.testing.assert_array_equal(example.targets.mask.values, drawn_mask(2))
    assert (example.targets.mask.values.dtype, example.targets.mask.fill) == (np.uint8, IGNORED)


def test_splits_may_be_inside_or_around(tmp_path: Path):
    inside = make_mask_folder(tmp_path / "inside", {"training": 2, "Val": 1})
    assert splits.known_splits(data(inside)) == ("train", "validation")
    around = tmp_path / "around"
    for split in ("training", "Val"):
        for kind in ("images", "masks"):
            shutil.copytree(inside / kind / split, around / split / kind)
    (around / "classes.txt").write_text("sky\nroad\ncar\n")
    assert splits.known_splits(data(around)) == ("train", "validation")
    for split, count in (("train", 2), ("val", 1), ("train[1:]", 1)):
        pairs = [opened(root, split) for root in (inside, around)]
        assert [len(source) for source in pairs] == [count, count]
        assert pairs[0][0].image == pairs[1][0].image


def test_folders_below_are_paired_by_their_paths(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 2})
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (tmp_path / kind / "berlin").mkdir()
        (tmp_path / kind / f"001.{suffix}").rename(tmp_path / kind / "berlin" / f"000.{suffix}")
    source = opened(tmp_path)
    assert [source[index].image for index in range(2)] == [drawn_image(0), drawn_image(1)]
    np.testing.assert_array_equal(source[1].targets.mask.values, drawn_mask(1))


def test_the_papers_splits_and_slices_work(tmp_path: Path):
    root = make_mask_folder(tmp_path, {"": 20})
    parts = {split: opened(root, split, split_protocol="paper") for split in splits.SHARES}
    assert {split: len(part) for split, part in parts.items()} == {"train": 14, "validation": 3, "test": 3}
    assert palette_of(parts["train"]) == generated_palette(3)
    first = int(splits.paper_indices(20)["validation"][0])
    np.testing.assert_array_equal(parts["validation"][0].targets.mask.values, drawn_mask(first))
    assert len(opened(root, "all[:25%]")) == 5
    divided = make_mask_folder(tmp_path / "divided", {"train": 1, "val": 1})
    assert "already divided, into train, validation" in refusal(divided, "train", split_protocol="paper").message


def test_files_and_text_identify_images_and_masks(tmp_path: Path):
    first = opened(make_mask_folder(tmp_path / "a", {"": 2}))
    assert first.file_set().num_files == 4
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    second = opened(tmp_path / "b")
    assert (repr(second), second.file_set()) == (repr(first), first.file_set())
    with (tmp_path / "b/masks/001.png").open("ab") as file:
        file.write(b"x")
    assert opened(tmp_path / "b").file_set() != first.file_set()
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (tmp_path / "b" / kind / f"001.{suffix}").rename(tmp_path / "b" / kind / f"002.{suffix}")
    assert repr(opened(tmp_path / "b")) != repr(first)
    (tmp_path / "a/classes.txt").write_text("sky\ncar\nroad\n")
    assert repr(opened(tmp_path / "a")) != repr(first)


def test_classes_may_be_ignored_by_name(tmp_path: Path):
    source = opened(make_mask_folder(tmp_path, {"": 1}), ignored_classes=("road",))
    assert (source.class_names, palette_of(source)) == (
        ("sky", "car"),
        (generated_palette(3)[0], generated_palette(3)[2]),
    )
    expected = np.asarray([0, IGNORED, 1], np.uint8)[drawn_mask(0)]
    np.testing.assert_array_equal(source[0].targets.mask.values, expected)
    assert repr(source) != repr(opened(tmp_path))
    error = refusal(tmp_path, ignored_classes=("border",))
    assert (error.code, "has no class border (it has sky, road, car)" in error.message) == ("DATA-LABEL", True)
    assert "has no other classes" in refusal(tmp_path, ignored_classes=("sky", "road", "car")).message


def test_batches_hold_masks_that_move_with_their_images(tmp_path: Path):
    source = opened(make_mask_folder(tmp_path, {"": 3}))
    batches = pipeline.eval_batches(source, transform=Resize(), image_size=(18, 24), batch_size=4, num_threads=0)
    batch = next(batches)
    assert batch.is_real.tolist() == [True, True, True, False]
    expected = [drawn_mask(index).repeat(2, axis=0).repeat(2, axis=1) for index in range(3)]
    np.testing.assert_array_equal(batch.targets.mask.values[:3], expected)
    assert batch.targets.size is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("images/x.jpg", "{root}/images/x.jpg has no mask of its name in {root}/masks"),
        ("masks/x.png", "{root}/masks/x.png has no image of its name in {root}/images"),
        ("masks/000.PNG", "{root}/masks/000.PNG and {root}/masks/000.png have one name"),
        ("masks/000.jpg", "{root}/masks/000.jpg and {root}/masks/000.png have one name"),
        ("images/000.png", "{root}/images/000.jpg and {root}/images/000.png have one name"),
    ],
)
def test_a_file_without_its_counterpart_is_named(tmp_path: Path, extra: str, message: str):
    make_mask_folder(tmp_path, {"": 2})
    (tmp_path / extra).write_bytes(encode(drawn_mask(0)))
    error = refusal(tmp_path)
    assert (error.code, error.message) == ("DATA-MASK", message.format(root=tmp_path))


def test_many_such_files_are_counted(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 5})
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_stem(f"{path.stem}_mask"))
    error = refusal(tmp_path)
    named = [f"{tmp_path}/images/00{index}.jpg has no mask of its name in {tmp_path}/masks" for index in range(3)]
    assert error.message == "; ".join([*named, "7 more such files"])
    assert error.do == "give each image one mask of its name, such as images/a.jpg and masks/a.png"


@pytest.mark.parametrize("folder", [".", "images", "masks"])
def test_a_folder_without_pairs_says_what_is_there(tmp_path: Path, folder: str):
    (tmp_path / folder / "train").mkdir(parents=True)
    error = refusal(tmp_path, "train")
    assert error.code == "DATA-EMPTY"
    assert "no folders images and masks with the same splits, or none, in them. Found: " in error.message
    assert error.do.endswith(f"into {tmp_path}/masks/train/*.png")


@pytest.mark.parametrize("folder", ["images", "masks", "images/train", "masks/train"])
def test_folders_that_are_links_out_of_the_root_need_leave(tmp_path: Path, folder: str):
    root = make_mask_folder(tmp_path / "roads", {"train": 2, "val": 1})
    (root / folder).rename(tmp_path / "elsewhere")
    (root / folder).symlink_to(tmp_path / "elsewhere")
    error = refusal(root, "train")
    assert f"leads out of the data folder, to {tmp_path}/elsewhere" in error.message
    assert "data.follow_links" in error.do
    assert len(opened(root, "train", follow_links=True)) == 2


def test_a_split_that_is_not_there_is_answered_by_those_that_are(tmp_path: Path):
    make_mask_folder(tmp_path, {"train": 1, "val": 1})
    (tmp_path / "images/test").mkdir()
    error = refusal(tmp_path, "test")
    assert error.message.endswith("no images with masks for the split test: it has train, validation")
    assert "It is not a folder" in refusal(tmp_path / "none").message
    (tmp_path / "images/val/000.jpg").unlink()
    assert f"no images under {tmp_path}/images/val" in refusal(tmp_path, "val").message


def test_no_folder_or_a_bucket_is_refused():
    assert "data.data_dir does not say which" in refusal(Path("~/tensorflow_datasets")).message
    with pytest.raises(DataError, match="is in a bucket"):
        splits.open_split(dataclasses.replace(data(Path()), data_dir="gs://a/b"), "all")


@pytest.mark.parametrize(
    ("mask", "code", "message"),
    [
        (np.full((9, 12), 3, np.uint8), "DATA-LABEL", "the value 3 stands for no class; number of such pixels: 108"),
        (np.full((9, 12), 151, np.uint16), "DATA-LABEL", "the value 151 stands for no class"),
        (np.full((9, 12), 65535, np.uint16), "DATA-LABEL", "the value 65535 stands for no class"),
        (np.full((9, 12, 3), (0, 1, 0), np.uint8), "DATA-LABEL", "stores colours, and none are known"),
        (np.zeros((12, 9), np.uint8), "DATA-MASK", "the mask is 12 x 9 px, the image is 9 x 12 px"),
        (np.zeros((1, 1), np.uint8), "DATA-MASK", "the mask is 1 x 1 px"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(tmp_path: Path, mask: np.ndarray, code: str, message: str):
    make_mask_folder(tmp_path, {"": 1})
    (tmp_path / "masks/000.png").write_bytes(encode(mask))
    error = refusal(tmp_path)
    assert error.message.startswith(f"{tmp_path}/masks/000.png (index 0): ")
    assert (error.code, message in error.message) == (code, True)


def test_a_mask_stored_in_three_equal_channels_holds_indices(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 1})
    (tmp_path / "masks/000.png").write_bytes(encode(np.dstack([drawn_mask(0)] * 3)))
    np.testing.assert_array_equal(opened(tmp_path)[0].targets.mask.values, drawn_mask(0))


def test_an_image_that_is_all_ignored_is_an_example(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 1})
    (tmp_path / "masks/000.png").write_bytes(encode(np.full((9, 12), 255, np.uint8)))
    assert (opened(tmp_path)[0].targets.mask.values == IGNORED).all()


def test_colours_are_decoded_where_the_list_of_classes_has_them(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 1})
    (tmp_path / "classes.txt").unlink()
    classes = {"sky": [0, 0, 9], "road": [9, 9, 9], "car": [9, 0, 0]}
    (tmp_path / "classes.json").write_text(json.dumps([{"name": name, "color": classes[name]} for name in classes]))
    colors = np.asarray([*classes.values(), (9, 0, 1)], np.uint8)
    (tmp_path / "masks/000.png").write_bytes(encode(colors[drawn_mask(0)]))
    np.testing.assert_array_equal(opened(tmp_path)[0].targets.mask.values, drawn_mask(0))
    (tmp_path / "masks/000.png").write_bytes(encode(drawn_mask(0)))  # Indices are understood all the same.
    np.testing.assert_array_equal(opened(tmp_path)[0].targets.mask.values, drawn_mask(0))
    (tmp_path / "masks/000.png").write_bytes(encode(colors[[[3, 0, 1]]].repeat(9, 0).repeat(4, 1)))
    assert "the colour (9, 0, 1) stands for no class; number of such pixels: 36" in refusal(tmp_path).message


def test_a_mask_is_turned_with_an_image_that_its_camera_turned(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 2})
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION_TAG] = 6
    Image.open(io.BytesIO(drawn_image(0))).save(file, format="JPEG", exif=exif)
    for name in ("000.jpg", "001.jpg"):
        (tmp_path / "images" / name).write_bytes(file.getvalue())
    turned = np.rot90(drawn_mask(0), -1)
    (tmp_path / "masks/001.png").write_bytes(encode(np.ascontiguousarray(turned)))
    for example in (opened(tmp_path)[0], opened(tmp_path)[1]):
        np.testing.assert_array_equal(example.targets.mask.values, turned)


def test_sizes_are_read_without_the_masks(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 3})
    source = with_classes(opened(tmp_path, "all[1:]"), ("car", "sky", "road"), data_set="a")
    for mask in (tmp_path / "masks").iterdir():
        mask.write_bytes(b"")
    assert image_sizes(source, num_threads=0) == dict.fromkeys(range(2), (HEIGHT, WIDTH))


def test_damaged_masks_can_be_skipped_as_damaged_images_are(tmp_path: Path):
    make_mask_folder(tmp_path, {"": 3})
    (tmp_path / "masks/000.png").write_bytes(b"")
    (tmp_path / "masks/001.png").write_bytes(encode(np.zeros((1, 1), np.uint8)))
    lines: list[str] = []
    batches = pipeline.eval_batches(
        opened(tmp_path),
        transform=Resize(),
        image_size=(9, 12),
        batch_size=3,
        num_threads=0,
        skips=Skips(limit=5, report=lines.append),
    )
    assert next(batches).is_real.tolist() == [False, False, True]
    assert [f"masks/00{index}.png" in line for index, line in enumerate(lines)] == [True, True]


def test_masks_and_images_above_the_limit_are_refused(tmp_path: Path):
    error = refusal(make_mask_folder(tmp_path, {"": 1}), max_pixels=107)
    assert (error.code, "9 x 12 px" in error.message) == ("DATA-BOMB", True)

"""Data sets made from folders: the same bytes in the same order, readable by stock TFDS, whole or not there at all."""

import fcntl
import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from gauss_vit.data.prepare import packing, shards
from gauss_vit.data.prepare.plans import Plan, Record, folder_plan, resized, write
from gauss_vit.data.sources.folders import open_folder
from gauss_vit.data.sources.tfds import TfdsDataSet, open_source
from gauss_vit.errors import BusyError, DataError, StorageError
from tests.data.sources.folder_samples import make_folder

KILLED = """
import os, sys
from pathlib import Path
from gauss_vit.data.prepare.plans import Plan, Record, write
def records():
    yield Record(image=b"x", label=0, file_name="x")
    os.kill(os.getpid(), 9)
plan = Plan(name="birds", version="1.0.0", description="", class_names=("a",), splits={"train": records})
write(plan, Path(sys.argv[1]))
"""


@pytest.fixture
def folder(tmp_path):
    """Two classes with five images."""
    return make_folder(tmp_path / "folder", {"wren": 3, "crow": 2})


def plan_of(records):
    """A plan of one class and one split."""
    return Plan(name="birds", version="1.0.0", description="", class_names=("a",), splits={"train": records})


def test_a_prepared_folder_holds_the_same_examples_in_the_same_order(folder, tmp_path):
    write(folder_plan(folder, "birds"), tmp_path)
    source, expected = open_source(str(tmp_path), "birds", "train"), open_folder(folder, "all")
    assert (len(source), source.class_names) == (5, ("crow", "wren"))
    for index in range(5):
        assert (source[index].image, source[index].targets) == (expected[index].image, expected[index].targets)
    assert source[4].name == "birds/1.0.0 train record 4 (wren/002.png)"


def test_stock_tfds_reads_a_prepared_folder(folder, tmp_path):
    write(folder_plan(folder, "birds"), tmp_path)
    records = tfds.data_source("birds", split="train", data_dir=tmp_path)
    expected = np.asarray(Image.open(folder / "crow" / "001.png"))
    np.testing.assert_array_equal(records[1]["image"], expected)
    assert records[1]["label"] == 0


def test_split_folders_become_splits(tmp_path):
    root = make_folder(tmp_path / "folder", {"train/a": 2, "val/a": 1, "test/a": 1})
    write(folder_plan(root, "birds"), tmp_path)
    assert TfdsDataSet(data_dir=str(tmp_path), name="birds").split_names() == ("train", "validation", "test")


@pytest.mark.parametrize(("shape", "expected"), [((40, 60), (20, 30)), ((60, 40), (30, 20)), ((10, 15), (10, 15))])
def test_resizing_shrinks_the_shorter_side_and_never_enlarges(shape, expected):
    file = io.BytesIO()
    Image.fromarray(np.full((*shape, 4), 90, np.uint8), mode="RGBA").save(file, format="PNG")
    plan = resized(plan_of(lambda: [Record(image=file.getvalue(), label=0, file_name="x")]), 20)
    (record,) = plan.splits["train"]()
    image = Image.open(io.BytesIO(record.image))
    assert (image.height, image.width) == expected
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert np.abs(np.asarray(image).astype(int) - 90).max() <= 1


def test_a_second_run_changes_nothing(folder, tmp_path):
    target = write(folder_plan(folder, "birds"), tmp_path)
    before = {path: path.stat().st_mtime_ns for path in target.iterdir()}
    assert write(replace(folder_plan(folder, "birds"), splits={}), tmp_path) == target
    assert {path: path.stat().st_mtime_ns for path in target.iterdir()} == before


def test_large_splits_are_cut_into_shards_and_read_as_one(folder, tmp_path, monkeypatch):
    expected = open_folder(folder, "all")
    monkeypatch.setattr(shards, "SHARD_BYTES", 2 * len(expected[0].image))
    target = write(folder_plan(folder, "birds"), tmp_path)
    names = sorted(path.name for path in target.glob("*array_record*"))
    assert names == [f"birds-train.array_record-{place:05d}-of-00003" for place in range(3)]
    source = open_source(str(tmp_path), "birds", "train")
    assert [source[index].image for index in range(5)] == [expected[index].image for index in range(5)]
    assert len(open_source(str(tmp_path), "birds", "train[1:4]")) == 3


def test_an_empty_split_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        write(plan_of(list), tmp_path)


def test_two_runs_write_the_same_bytes(folder, tmp_path):
    first, second = (write(folder_plan(folder, "birds"), tmp_path / name) for name in ("a", "b"))
    for path in first.glob("*array_record*"):
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_killed_run_leaves_nothing_that_looks_finished_and_the_next_one_cleans_up(folder, tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False, timeout=60)
    assert done.returncode == -9, done.stderr.decode()
    assert len(list((tmp_path / "birds").glob(f"{packing.ASIDE}*"))) == 1
    with pytest.raises(DataError, match="is not prepared"):
        open_source(str(tmp_path), "birds", "train")
    write(folder_plan(folder, "birds"), tmp_path)
    assert len(open_source(str(tmp_path), "birds", "train")) == 5
    assert not list((tmp_path / "birds").glob(f"{packing.ASIDE}*"))


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    def records():
        yield Record(image=b"x", label=0, file_name="x")
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        write(plan_of(records), tmp_path)
    assert [path.name for path in (tmp_path / "birds").iterdir()] == [packing.LOCK_FILE]


def test_a_second_process_is_turned_away(tmp_path):
    (tmp_path / "birds").mkdir()
    with (tmp_path / "birds" / packing.LOCK_FILE).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another process") as caught:
            write(plan_of(list), tmp_path)
    assert caught.value.code == "DATA-BUSY"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write(plan_of(list), tmp_path / "file")


def test_a_damaged_image_stops_the_resizing_by_name(folder, tmp_path):
    path = folder / "crow" / "000.png"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=r"crow/000\.png"):
        write(resized(folder_plan(folder, "birds"), 4), tmp_path)


def test_classes_of_one_name_are_refused(folder):
    (folder / "labels.json").write_text('{"crow": "bird", "wren": "bird"}')
    with pytest.raises(DataError, match=r"two classes of .* have one name"):
        folder_plan(folder, "birds")

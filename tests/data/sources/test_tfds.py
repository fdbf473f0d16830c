"""TFDS data sets by index: splits, names, damage, and no word to the network."""

import dataclasses
import errno
import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
from etils import epath

from gauss_vit.data import file_reading
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.sources import how_to_get
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.data.sources.tfds_builder import INFO_FILE, find_folder
from gauss_vit.errors import DataError

QUIET_RUN = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(refuse)
from gauss_vit.data.pipeline import eval_batches
from gauss_vit.data.sources.tfds import open_source
from gauss_vit.data.images.transforms import ResizeCenterCrop
source = open_source(sys.argv[1], "digits", "test")
batches = eval_batches(source, transform=ResizeCenterCrop(), image_size=(8, 8), batch_size=64, num_threads=2)
print(sum(int(batch.is_real.sum()) for batch in batches), "tensorflow" in sys.modules, "torch" in sys.modules)
"""


@pytest.fixture
def copied_digits(digits_root, tmp_path):
    """A data set named copy that may be damaged."""
    shutil.copytree(digits_root / "digits", tmp_path / "copy")
    return tmp_path / "copy" / "1.0.0"


def shard(folder):
    """The file of the training split."""
    return next(folder.glob("*train*"))


def read_all(root):
    """Every training example."""
    source = open_source(str(root), "copy", "train")
    return [source[index] for index in range(len(source))]


def test_a_source_gives_encoded_bytes_label_and_name(digits_root):
    source = open_source(str(digits_root), "digits", "test")
    example = source[1]
    assert isinstance(source, Source)
    assert isinstance(example, Example)
    assert example.image.startswith(b"\x89PNG")
    assert (example.targets.label, example.name) == (5, "digits/1.0.0 test record 1 (0005.png)")


@pytest.mark.parametrize(
    ("split", "first", "size"),
    [("train[:90%]", 0, 1293), ("train[10:20]", 10, 10), ("train[-5:]", 1432, 5), ("train[50%:]", 718, 719)],
)
def test_slices_of_a_split_are_slices_of_its_examples(digits_root, split, first, size):
    whole, part = (open_source(str(digits_root), "digits", name) for name in ("train", split))
    assert len(part) == size
    assert [part[index].image for index in (0, size - 1)] == [whole[index].image for index in (first, first + size - 1)]


def test_splits_can_be_joined(digits_root):
    joined, test = (open_source(str(digits_root), "digits", name) for name in ("train+test", "test"))
    assert len(joined) == 1797
    assert joined[1437].image == test[0].image


def test_repr_is_the_same_in_every_folder(digits_root, tmp_path):
    shutil.copytree(digits_root, tmp_path / "elsewhere")
    texts = {repr(open_source(str(root), "digits", "test[:10]")) for root in (digits_root, tmp_path / "elsewhere")}
    assert texts == {"TfdsSource(name='digits/1.0.0', split='test[:10]', num_examples=10)"}


def test_its_files_are_its_shards_in_every_folder_and_of_their_size(digits_root, copied_digits):
    train, test = (open_source(str(digits_root), "digits", split).file_set() for split in ("train[:9]", "test"))
    assert (train.num_files, train.num_bytes) == (1, shard(digits_root / "digits/1.0.0").stat().st_size)
    assert test not in (train, open_source(str(digits_root), "digits", "train+test").file_set())
    copied = open_source(str(copied_digits.parent.parent), "copy", "train").file_set()
    assert copied == train
    with shard(copied_digits).open("ab") as file:
        file.write(b"x")
    longer = open_source(str(copied_digits.parent.parent), "copy", "train").file_set()
    assert copied.difference(longer) == f"1 file of {train.num_bytes + 1:,} bytes instead of {copied}"


def test_a_pickled_source_reads_the_same(digits_root):
    source = open_source(str(digits_root), "digits", "test")
    assert pickle.loads(pickle.dumps(source))[3] == source[3]


@pytest.mark.parametrize("index", [-1, 360])
def test_an_index_outside_is_refused(digits_root, index):
    with pytest.raises(IndexError, match=r"not in 0\.\.359"):
        open_source(str(digits_root), "digits", "test")[index]


def test_the_home_folder_can_be_written_as_a_tilde(digits_root, monkeypatch):
    monkeypatch.setenv("HOME", str(digits_root.parent))
    assert len(open_source(f"~/{digits_root.name}", "digits", "test")) == 360


def test_a_missing_data_set_names_the_folder_and_the_command(tmp_path):
    with pytest.raises(DataError) as caught:
        open_source(str(tmp_path), "imagenet2012", "train")
    assert str(tmp_path / "imagenet2012") in caught.value.message
    assert caught.value.do == how_to_get.remedy("imagenet2012", str(tmp_path))
    assert caught.value.code == "DATA-TFDS"


@pytest.mark.parametrize(("name", "version"), [("x", "10.0.0"), ("x:9.0.0", "9.0.0"), ("x/small", "1.0.0")])
def test_the_version_asked_for_or_the_highest_is_found(tmp_path, name, version):
    for folder in ("x/9.0.0", "x/10.0.0", "x/small/1.0.0", "x/incomplete.AB12CD_11.0.0"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / INFO_FILE).write_text("{}")
    assert find_folder(epath.Path(tmp_path), name).name == version


def test_another_version_names_those_that_are_there(copied_digits):
    with pytest.raises(DataError, match=r"copy:2.0.0 is not prepared .*found version 1\.0\.0"):
        open_source(str(copied_digits.parent.parent), "copy:2.0.0", "train")


@pytest.mark.parametrize(
    ("split", "code", "message"),
    [
        ("validation", "DATA-TFDS", "Unknown split 'validation'.*use one of train, test"),
        ("train[:900%]", "DATA-TFDS", "Error parsing split"),
        ("train[2000:]", "DATA-TFDS", "incompatible with 1437 examples"),
        ("train[5:5]", "DATA-EMPTY", "train.5:5. is empty"),
    ],
)
def test_a_split_that_is_not_there_is_refused(digits_root, split, code, message):
    with pytest.raises(DataError, match=message) as caught:
        open_source(str(digits_root), "digits", split)
    assert caught.value.code == code


def test_a_missing_shard_is_named_before_anything_is_read(copied_digits):
    path = shard(copied_digits)
    path.unlink()
    with pytest.raises(DataError, match=f"{path} is missing"):
        open_source(str(copied_digits.parent.parent), "copy", "train")


def test_a_flipped_byte_names_record_and_shard(copied_digits):
    path = shard(copied_digits)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"digits/1.0.0 train record \d+ in {path}: .*mismatch") as caught:
        read_all(copied_digits.parent.parent)
    assert caught.value.code == "DATA-TFDS"


def test_a_truncated_shard_is_an_error(copied_digits):
    path = shard(copied_digits)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=f"record 0 in {path}"):
        read_all(copied_digits.parent.parent)


@pytest.mark.parametrize("content", ["{", ""])
def test_damaged_metadata_is_an_error(copied_digits, content):
    (copied_digits / INFO_FILE).write_text(content)
    with pytest.raises(DataError, match=r"not a readable TFDS data set.*tfds build copy"):
        read_all(copied_digits.parent.parent)


def test_missing_features_are_an_error(copied_digits):
    (copied_digits / "features.json").unlink()
    with pytest.raises(DataError, match="not a readable TFDS data set"):
        read_all(copied_digits.parent.parent)


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
def test_metadata_that_names_foreign_code_is_refused(copied_digits, key):
    features = copied_digits / "features.json"
    features.write_text(json.dumps({"featuresDict": {"features": {"image": {key: "antigravity.Image"}}}}))
    with pytest.raises(DataError, match=r"names the feature class 'antigravity\.Image'"):
        read_all(copied_digits.parent.parent)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json", "label.labels.txt"])
def test_metadata_of_gigabytes_are_refused_unread(copied_digits, name):
    with (copied_digits / name).open("wb") as file:  # sparse: takes no room on disk
        file.truncate(3 * 10**9)
    with pytest.raises(DataError, match=rf"{name} is larger than the limit of 16,777,216 bytes"):
        read_all(copied_digits.parent.parent)


def test_another_file_format_is_refused(copied_digits):
    info = copied_digits / INFO_FILE
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(DataError, match=r"holds tfrecord files.*--file_format=array_record"):
        read_all(copied_digits.parent.parent)


def test_a_data_set_without_labels_is_refused(copied_digits):
    path = copied_digits / "features.json"
    features = json.loads(path.read_text())
    del features["featuresDict"]["features"]["label"]
    path.write_text(json.dumps(features))
    with pytest.raises(DataError, match="no image with one class label; it has file_name, image"):
        read_all(copied_digits.parent.parent)


def test_a_label_that_names_no_class_is_refused(copied_digits):
    (copied_digits / "label.labels.txt").write_text("0\n1\n")
    features = copied_digits / "features.json"
    features.write_text(features.read_text().replace('"numClasses": "10"', '"numClasses": "2"'))
    with pytest.raises(DataError, match=r"record 1 \(0002.png\): label 2 is not in 0\.\.1") as caught:
        read_all(copied_digits.parent.parent)
    assert caught.value.code == "DATA-LABEL"


def test_a_label_of_unknown_classes_is_refused_before_anything_is_read(copied_digits):
    (copied_digits / "label.labels.txt").unlink()
    features = copied_digits / "features.json"
    features.write_text(features.read_text().replace('"numClasses": "10"', '"numClasses": "0"'))
    with pytest.raises(DataError, match="feature label does not say how many classes") as caught:
        open_source(str(copied_digits.parent.parent), "copy", "train")
    assert caught.value.code == "DATA-LABEL"


class Stumbling:
    """Records whose first reads fail as array_record's do."""

    def __init__(self, records, reason, *, times):
        self._records, self._reason, self._left = records, reason, times

    def __getitem__(self, index):
        if self._left:
            self._left -= 1
            raise RuntimeError(f"pread() failed: {self._reason}; reading train.array_record; at byte 561782")
        return self._records[index]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_read_that_fails_twice_gives_the_same_example(digits_root, monkeypatch, number):
    pauses = []
    monkeypatch.setattr(file_reading.time, "sleep", pauses.append)
    source = open_source(str(digits_root), "digits", "test")
    records = Stumbling(source.records, os.strerror(number), times=2)
    assert dataclasses.replace(source, records=records)[3] == source[3]
    assert pauses == list(file_reading.RETRY_PAUSES_SECONDS[:2])


@pytest.mark.parametrize(("reason", "num_pauses"), [("Input/output error", 3), ("Permission denied", 0)])
def test_a_read_that_keeps_failing_names_record_and_shard(digits_root, monkeypatch, reason, num_pauses):
    pauses = []
    monkeypatch.setattr(file_reading.time, "sleep", pauses.append)
    source = open_source(str(digits_root), "digits", "test")
    records = Stumbling(source.records, reason, times=4)
    with pytest.raises(DataError, match=rf"test record 3 in .*array_record.*: pread\(\) failed: {reason}") as caught:
        dataclasses.replace(source, records=records)[3]
    assert (caught.value.code, len(pauses)) == ("DATA-TFDS", num_pauses)


def test_reading_opens_no_connection_and_loads_no_framework(digits_root):
    command = [sys.executable, "-c", QUIET_RUN, str(digits_root)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, run.stdout) == (0, "360 False False\n"), run.stderr


@pytest.mark.parametrize(
    ("name", "split", "num_examples", "num_classes"),
    [
        ("imagenet2012", "train", 1000, 1000),
        ("tiny_imagenet20", "validation", 1000, 20),
        ("cifar10_jpeg", "test", 2000, 10),
        ("oxford_iiit_pet", "train", 88, 37),
    ],
)
def test_real_data_sets_are_read(real_data, name, split, num_examples, num_classes):
    source = open_source(str(real_data / "tfds"), name, split)
    assert (len(source), source.num_classes, len(source.class_names)) == (num_examples, num_classes, num_classes)
    assert source[num_examples - 1].image.startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", ["coco/2017_panoptic", "scene_parse150"])
def test_real_data_sets_of_other_tasks_are_refused(real_data, name):
    with pytest.raises(DataError, match="no image with one class label"):
        open_source(str(real_data / "tfds"), name, "train")

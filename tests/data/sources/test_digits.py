"""The embedded digits: complete, equal to scikit-learn's, and safe to prepare from anywhere at any time."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from gauss_vit.data.sources import digits
from gauss_vit.data.sources.opening import open_source
from gauss_vit.errors import StorageError

PREPARE = (
    "import pathlib, sys\n"
    "from gauss_vit.data.sources.digits import prepare_digits\n"
    "prepare_digits(pathlib.Path(sys.argv[1]))"
)


def pixels(example):
    """Grey levels of an example."""
    return np.asarray(Image.open(io.BytesIO(example.image)))


def test_the_table_is_the_one_that_scikit_learn_loads():
    table, expected = digits.read_table(), load_digits()
    np.testing.assert_array_equal(table[:, :64], expected.data)
    np.testing.assert_array_equal(table[:, 64], expected.target)


def test_every_fifth_image_is_for_testing(digits_root):
    labels = load_digits().target
    is_test = np.arange(len(labels)) % 5 == 0
    for split, expected in (("test", labels[is_test]), ("train", labels[~is_test])):
        source = open_source(str(digits_root), "digits", split)
        assert [source[index].targets.label for index in range(len(source))] == expected.tolist()


def test_classes_are_named_by_their_digits(digits_root):
    source = open_source(str(digits_root), "digits", "train")
    assert source.class_names == tuple("0123456789")
    assert source.num_classes == 10


def test_images_are_the_digits_at_32_px(digits_root):
    source = open_source(str(digits_root), "digits", "test")
    image = pixels(source[7])
    original = load_digits().images[35]
    assert (image.shape, image.dtype) == ((32, 32), np.uint8)
    # Averaged back to 8 x 8, only the ringing of the bicubic filter is left as a difference.
    back = image.reshape(8, 4, 8, 4).mean((1, 3))
    assert np.corrcoef(back.ravel(), original.ravel())[0, 1] > 0.98


def test_the_darkest_and_the_brightest_level_span_the_range_of_bytes():
    flat = [pixels_of(np.full((8, 8), level, np.uint8)) for level in (0, 8, 16)]
    assert [sorted(set(image.ravel().tolist())) for image in flat] == [[0], [127], [255]]


def pixels_of(grey):
    """Encodes and decodes."""
    return np.asarray(Image.open(digits.encode_png(grey)))


def test_preparing_again_changes_nothing(tmp_path):
    folder = digits.prepare_digits(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert digits.prepare_digits(tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [digits.VERSION]


def test_processes_that_start_together_agree(tmp_path):
    runs = [subprocess.Popen([sys.executable, "-c", PREPARE, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(3)]
    output = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert output == [b"", b"", b""]
    assert [path.name for path in (tmp_path / "digits").iterdir()] == [digits.VERSION]
    assert len(open_source(str(tmp_path), "digits", "train")) == 1437


def test_the_folder_of_a_process_that_was_first_stays(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    digits._move(second, target=first)
    assert (first / "name").read_text() == "first"


def test_a_failed_attempt_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(data_dir):
        (data_dir / "half").write_text("written")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(digits, "_write", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        digits.prepare_digits(tmp_path)
    assert list((tmp_path / "digits").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "digits").write_text("a file is in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        digits.prepare_digits(tmp_path)

"""Predictions of whole images come in the order of the files, at the sizes of the files."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PyTree
from PIL import Image

from gauss_vit.batches import Batch
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.skips import Skips
from gauss_vit.errors import DataError
from gauss_vit.inspect import predictions
from gauss_vit.inspect.predictions import predict
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.task import Records
from tests.named_models import named_of

SIZES = ((20, 30), (30, 20), (20, 30), (40, 60), (7, 60), (20, 30), (20, 31))


@dataclass(frozen=True, kw_only=True)
class Measured(Classification):
    """Tells the size of each file instead of its class."""

    def records(self, prediction: PyTree, *, class_names: Sequence[str], limit: int) -> Records:
        del class_names, limit
        height, width, level = prediction.tolist()
        return Records(name="size", items=({"height": int(height), "width": int(width), "level": round(level)},))


def measured(params: PyTree, batch: Batch) -> jax.Array:
    """The size of each file, and the mean of its pixels."""
    del params
    level = batch.image.mean(axis=(1, 2, 3), keepdims=True)[:, :, 0, 0]
    return jnp.concatenate([batch.targets.size.astype(jnp.float32), level], axis=1)


@pytest.fixture(name="paths")
def fixture_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files of several sizes, each of one grey level, its number."""
    monkeypatch.setattr(predictions, "make_predict_step", lambda forward, *, mesh, params: jax.jit(measured))
    paths = [tmp_path / f"{number}.png" for number in range(len(SIZES))]
    for number, (path, (height, width)) in enumerate(zip(paths, SIZES, strict=True)):
        Image.new("RGB", (width, height), (number, number, number)).save(path)
    return paths


def told(paths: list[Path], **changes) -> list[tuple[str, tuple[int, int], int]]:
    """Name, size and level of each prediction, in order."""
    named = named_of()
    named = dataclasses.replace(named, task=Measured(head=named.head), eval_transform=ResizeToFit(scale=(64, 16)))
    settings = {"limit": 1, "batch_size": 8, "num_threads": 2}
    found = itertools.chain.from_iterable(predict(named, paths, **(settings | changes)))
    items = [(prediction.path.name, prediction.records.items[0]) for prediction in found]
    return [(name, (item["height"], item["width"]), item["level"]) for name, item in items]


@pytest.mark.parametrize("patience", [0, 2, 64])
def test_predictions_follow_the_files(paths, patience, monkeypatch):
    monkeypatch.setattr(predictions, "_PATIENCE", patience)
    assert told(paths) == [
        (path.name, size, number) for number, (path, size) in enumerate(zip(paths, SIZES, strict=True))
    ]


def test_files_that_cannot_be_read_are_left_out(paths):
    paths[0].write_bytes(b"no image")
    content = paths[3].read_bytes()
    paths[3].write_bytes(content[:-30])  # The header is whole, the pixels are not.
    skips = Skips(limit=None, report=lambda line: None)
    assert [name for name, _, _ in told(paths, skips=skips)] == ["1.png", "2.png", "4.png", "5.png", "6.png"]
    assert skips.indices == {0, 3}
    with pytest.raises(DataError, match=r"0\.png"):
        told(paths)


def test_all_files_may_be_damaged(paths):
    for path in paths:
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="none of 7 images can be read"):
        told(paths, skips=Skips(limit=None, report=lambda line: None))


def test_a_file_turned_by_exif_is_predicted_upright(tmp_path, paths):
    del paths
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.full((20, 30, 3), 9, np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    assert told([tmp_path / "turned.jpg"]) == [("turned.jpg", (30, 20), 9)]

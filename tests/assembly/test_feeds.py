"""Batches of an experiment: functions of the step, with exact padding, checked against the model."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit.assembly import feeds, from_data
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip, ResizeCenterCrop
from gauss_vit.errors import ConfigError, DataError, StorageError
from gauss_vit.experiment import Experiment
from gauss_vit.heads.linear import LinearHead
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.run import Feed
from tests.data import masks_config, objects_config
from tests.data.sources.coco_samples import make_coco
from tests.data.sources.folder_samples import make_folder
from tests.data.sources.mask_samples import drawn_mask, make_mask_folder
from tests.tiny_config import get_config


@pytest.fixture(scope="module")
def experiment(data_flag: str) -> Experiment:
    data = dataclasses.replace(get_config().data, data_dir=data_flag.partition("=")[2])
    return dataclasses.replace(get_config(), data=data)


def feed_of(shown: Experiment, **options) -> Feed:
    return feeds.feed(shown, feeds.open_sources(shown), **options)


def test_training_batches_depend_on_the_step_alone(experiment: Experiment):
    feed = feed_of(experiment)
    whole, rest = list(feed.train(0)), list(feed.train(2))
    assert (len(whole), len(rest)) == (4, 2)
    for first, second in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.targets.label, second.targets.label)
    assert whole[0].image.shape == (16, 16, 32, 3)


def test_flips_are_drawn_by_the_step_and_the_example_alone(experiment: Experiment):
    data = dataclasses.replace(experiment.data, train_transforms=(*experiment.data.train_transforms, RandomFlip()))
    feed = feed_of(dataclasses.replace(experiment, data=data))
    whole, rest = list(feed.train(0)), list(feed.train(2))
    for first, second in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(first.is_flipped, second.is_flipped)
    drawn = np.concatenate([batch.is_flipped for batch in whole])
    assert 12 <= drawn.sum() <= 52  # Five standard deviations around half of 64.
    assert all(batch.is_flipped is None for batch in feed.evaluation("eval"))


def test_digests_tell_steps_and_seeds_apart(experiment: Experiment):
    drawn = [feed_of(dataclasses.replace(experiment, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0].digest(3) == drawn[1].digest(3)
    assert len({drawn[0].digest(2), drawn[0].digest(3), drawn[2].digest(3)}) == 3


def test_evaluation_sees_every_example_once(experiment: Experiment):
    batches = list(feed_of(experiment).evaluation("eval"))
    assert [len(batch.is_real) for batch in batches] == [32, 32]
    assert sum(int(batch.is_real.sum()) for batch in batches) == 50


def test_every_evaluator_sees_its_own_split(experiment: Experiment):
    evaluators = (Evaluator(), Evaluator(name="head", split="train[:7]"))
    feed = feed_of(dataclasses.replace(experiment, evaluators=evaluators))
    counts = [sum(int(batch.is_real.sum()) for batch in feed.evaluation(name)) for name in ("eval", "head")]
    assert counts == [50, 7]


def test_evaluator_names_another_data_set_and_its_folder(experiment: Experiment):
    evaluator = Evaluator(name="v2", data="imagenet_v2", data_dir="/other", split="test")
    data = feeds.evaluated(experiment, evaluator).data
    assert data == dataclasses.replace(experiment.data, name="imagenet_v2", data_dir="/other", eval_split="test")
    assert feeds.evaluated(experiment, Evaluator()) == experiment


def test_model_with_other_classes_is_refused(experiment: Experiment):
    other = dataclasses.replace(experiment, task=dataclasses.replace(experiment.task, head=LinearHead()))
    with pytest.raises(ConfigError, match=r"set task\.head\.num_classes to 10"):
        feeds.open_split(other, "train")


def test_unknown_split_is_refused(experiment: Experiment):
    with pytest.raises(DataError):
        feeds.open_split(experiment, "validation")


def test_folders_are_trained_on_like_data_sets(experiment: Experiment, tmp_path: Path):
    make_folder(tmp_path, {f"train/{index}": 2 for index in range(10)} | {"val/3": 1})
    data = dataclasses.replace(experiment.data, name="folder", data_dir=str(tmp_path), eval_split="validation")
    feed = feed_of(dataclasses.replace(experiment, data=data))
    assert next(iter(feed.train(0))).image.shape == (16, 16, 32, 3)
    assert sum(int(batch.is_real.sum()) for batch in feed.evaluation("eval")) == 1


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_damaged_images_end_the_run_or_are_logged(experiment: Experiment, tmp_path: Path, on_error: str, caplog):
    make_folder(tmp_path, {f"train/{index}": 2 for index in range(10)} | {"val/3": 1})
    (tmp_path / "train" / "4" / "001.png").write_bytes(b"text")
    data = dataclasses.replace(
        experiment.data, name="folder", data_dir=str(tmp_path), eval_split="validation", on_error=on_error
    )
    feed = feed_of(dataclasses.replace(experiment, data=data), bad_files=tmp_path / "bad_files.txt")
    if on_error == "raise":
        with pytest.raises(DataError, match=r"train/4/001\.png"):
            list(feed.train(0))
        return
    for _ in range(2):
        assert sum(int((~batch.is_real).sum()) for batch in feed.train(0)) == 3
    assert caplog.text.count("skipped image 1 of at most 100") == 1
    assert "train/4/001.png" in (tmp_path / "bad_files.txt").read_text()
    (tmp_path / "bad_files.txt").unlink()
    (tmp_path / "bad_files.txt").symlink_to("mine")
    feed = feed_of(dataclasses.replace(experiment, data=data), bad_files=tmp_path / "bad_files.txt")
    with pytest.raises(StorageError, match=r"bad_files\.txt: it is a link"):
        list(feed.train(0))


def test_the_limit_of_damaged_images_holds_over_every_start_of_a_run(experiment: Experiment, tmp_path: Path):
    make_folder(tmp_path, {f"train/{index}": 2 for index in range(10)} | {"val/3": 1})
    data = dataclasses.replace(
        experiment.data, name="folder", data_dir=str(tmp_path), eval_split="validation", on_error="skip", max_skipped=1
    )
    skipping, bad_files = dataclasses.replace(experiment, data=data), tmp_path / "bad_files.txt"
    (tmp_path / "train/4/001.png").write_bytes(b"text")
    for _ in range(2):
        list(feed_of(skipping, bad_files=bad_files).train(0))
        assert len(bad_files.read_text().splitlines()) == 1
    (tmp_path / "train/7/000.png").write_bytes(b"text")
    (tmp_path / "train/4/001.png").write_bytes((tmp_path / "train/4/000.png").read_bytes())
    with pytest.raises(DataError, match=r"2 damaged images, and data\.max_skipped is 1") as caught:
        list(feed_of(skipping, bad_files=bad_files).train(0))
    assert "remove the list of bad files" in caught.value.do
    bad_files.unlink()
    list(feed_of(skipping, bad_files=bad_files).train(0))


def test_masks_of_an_evaluator_hold_the_classes_of_training(tmp_path: Path):
    train = make_mask_folder(tmp_path / "train", {"train": 16})
    other = make_mask_folder(tmp_path / "other", {"": 2}, classes=("car", "sky", "road"))
    experiment = masks_config.get_config()
    data = dataclasses.replace(experiment.data, data_dir=str(train))
    evaluators = (Evaluator(data_dir=str(other), split="all"),)
    sources = feeds.open_sources(dataclasses.replace(experiment, data=data, evaluators=evaluators))
    place_of = np.asarray([2, 0, 1])
    np.testing.assert_array_equal(sources.evaluation["eval"][0].targets.mask.values, place_of[drawn_mask(0)])
    np.testing.assert_array_equal(sources.train[0].targets.mask.values, drawn_mask(0))


def test_whole_images_are_planned_once_and_the_log_says_their_shapes(experiment: Experiment, tmp_path: Path, caplog):
    make_folder(tmp_path, {f"train/{index}": 2 for index in range(10)} | {"val/3": 5, "val/4": 1})
    Image.new("RGB", (10, 20)).save(tmp_path / "val" / "4" / "000.png")
    data = dataclasses.replace(
        experiment.data, name="folder", data_dir=str(tmp_path), eval_split="validation", eval_transform=ResizeToFit()
    )
    feed = feed_of(dataclasses.replace(experiment, data=data))
    caplog.set_level("INFO")
    for _ in range(2):
        assert [batch.image.shape[1:3] for batch in feed.evaluation("eval")] == [(512, 683), (1024, 512)]
    assert caplog.text.count("evaluation of whole images: 6 images in 2 batches of 2 shapes, each compiled once") == 1


def test_objects_are_learned_from_annotated_images_and_measured_on_all(tmp_path: Path, caplog):
    shown = objects_config.get_config()
    shown = dataclasses.replace(
        shown,
        data=dataclasses.replace(shown.data, data_dir=str(make_coco(tmp_path))),
        training=dataclasses.replace(shown.training, batch_size=2, eval_batch_size=2, num_steps=4),
    )
    with caplog.at_level("INFO"):
        sources = feeds.open_sources(shown)
    assert (len(sources.train), len(sources.evaluation["eval"])) == (2, 3)
    assert "left out of training: images: 1 without annotations" in caplog.text
    assert from_data.completed(shown, num_examples=2, num_classes=3) == shown
    feed = feeds.feed(shown, sources)
    sizes = {batch.image.shape[1:3] for batch in feed.train(0)}
    assert sizes <= {(64, 96), (96, 64), (96, 96)}
    assert sum(int(batch.is_real.sum()) for batch in feed.evaluation("eval")) == 3
    assert len({feed.digest(step) for step in range(4)}) == 4


def test_objects_are_not_evaluated_in_crops(tmp_path: Path):
    shown = objects_config.get_config()
    data = dataclasses.replace(shown.data, data_dir=str(make_coco(tmp_path)), eval_transform=ResizeCenterCrop())
    with pytest.raises(ConfigError, match="objects are found in whole images"):
        feeds.open_sources(dataclasses.replace(shown, data=data))

"""What a config leaves to its data: taken from them, stored, and the same when the run is resumed."""

import dataclasses
import json
from pathlib import Path

import pytest

from gauss_vit import experiment as experiments
from gauss_vit import main as program
from gauss_vit.assembly import feeds, from_data
from gauss_vit.assembly.from_data import Completed
from gauss_vit.data.sources import coco
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models import construct
from gauss_vit.tasks.segmentation import Segmentation
from tests.data import objects_config
from tests.data.sources.coco_samples import make_coco
from tests.data.sources.folder_samples import make_folder
from tests.tasks.shapes import PatchHead
from tests.tiny_config import FLAG, ONE_DEVICE, get_config

OPEN = ["--config.task.head.num_classes=None", "--config.training.num_epochs=0.05"]


def left_open(**data: str) -> experiments.Experiment:
    """The tiny experiment without classes and steps."""
    shown = get_config()
    return dataclasses.replace(
        shown,
        task=dataclasses.replace(shown.task, head=LinearHead(num_classes=None)),
        training=dataclasses.replace(shown.training, num_steps=None, num_epochs=2.0),
        data=dataclasses.replace(shown.data, **data),
    )


def test_classes_and_steps_are_those_of_the_training_split(tmp_path: Path):
    make_folder(tmp_path, {"train/crow": 20, "train/owl": 21, "train/wren": 9, "val/owl": 1})
    complete = from_data.complete(left_open(name="folder", data_dir=str(tmp_path)))
    shown = complete.experiment
    assert shown.task.num_classes == 3
    assert (shown.training.num_steps, shown.training.num_epochs) == (7, None)
    assert experiments.from_json(shown.to_json()) == shown
    assert complete.train is not None and len(complete.train) == 50


def test_annotations_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read, opened = coco.read_annotations, []
    monkeypatch.setattr(coco, "read_annotations", lambda path: opened.append(path.name) or read(path))
    shown = objects_config.get_config()
    data = dataclasses.replace(shown.data, data_dir=str(make_coco(tmp_path)))
    training = dataclasses.replace(shown.training, num_steps=None, num_epochs=2.0, batch_size=1)
    complete = from_data.complete(dataclasses.replace(shown, data=data, training=training, evaluators=()))
    feeds.open_sources(complete.experiment, train=complete.train)
    assert opened == ["instances_train2017.json"]


def test_head_of_any_task_takes_its_classes_from_the_data():
    shown = get_config()
    shown = dataclasses.replace(
        shown,
        task=Segmentation(head=PatchHead(num_classes=None)),
        data=dataclasses.replace(shown.data, name="mask_folder", targets="masks"),
    )
    assert from_data.completed(shown, num_examples=10, num_classes=7).task == Segmentation(
        head=PatchHead(num_classes=7)
    )


def test_what_is_given_is_not_looked_up(tmp_path: Path):
    shown = dataclasses.replace(
        get_config(), data=dataclasses.replace(get_config().data, data_dir=str(tmp_path / "no"))
    )
    assert from_data.complete(shown) == Completed(experiment=shown, train=None)


def test_missing_data_are_a_sentence_with_the_keys_that_need_them(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        from_data.complete(left_open(name="folder", data_dir=str(tmp_path / "none")))
    assert caught.value.message.startswith("task.head.num_classes and training.num_steps are taken from the data: ")
    assert caught.value.do.endswith("or give --config.task.head.num_classes=N --config.training.num_steps=N")


def test_a_network_without_a_number_of_classes_is_refused():
    with pytest.raises(ConfigError, match=r"task\.head\.num_classes is None"):
        construct.abstract(left_open().network)


def test_a_run_stores_what_it_took_from_the_data_and_resumes_with_it(tmp_path: Path, capsys):
    command = [FLAG, ONE_DEVICE, f"--workdir={tmp_path}", *OPEN]
    assert program.main(command) == 0
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["task"]["head"]["num_classes"] == 10
    assert (stored["training"]["num_steps"], stored["training"]["num_epochs"]) == (5, None)
    assert program.main(command) == 0
    assert "already finished at step 5" in capsys.readouterr().err
    assert program.main(["show", FLAG, *OPEN]) == 0
    assert '"num_classes": 10' in capsys.readouterr().out
    assert program.main([f"--config={tmp_path}/config.json", f"--workdir={tmp_path}"]) == 0

"""What a run's checkpoints say of its data: read from the data and the model, the same wherever they are."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from gauss_vit.assembly import feeds
from gauss_vit.assembly.named_model import trained
from gauss_vit.assembly.trained_on import trained_on
from gauss_vit.experiment import Experiment
from gauss_vit.palette import generated_palette
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.checkpoint.reader import read_record
from gauss_vit.trained_on import TrainedOn, from_json
from tests.data import masks_config
from tests.data.sources.folder_samples import make_folder
from tests.data.sources.mask_samples import make_mask_folder
from tests.tiny_config import MODEL, get_config

POSITIONS = Position(terms=(RelativeTable(), Gaussian()), absolute=AbsoluteEmbedding())


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    counts = {f"train/{index}": 2 for index in range(10)} | {"val/3": 1, "val/5": 2}
    return make_folder(tmp_path / "birds", counts)


def of(root: Path, **changes) -> TrainedOn:
    """The description of a run on a folder."""
    experiment = on_folder(root, **changes)
    return trained_on(experiment, feeds.open_sources(experiment))


def on_folder(root: Path, **changes) -> Experiment:
    data = dataclasses.replace(get_config().data, name="folder", data_dir=str(root), eval_split="validation")
    model = dataclasses.replace(MODEL, position=POSITIONS)
    return dataclasses.replace(get_config(), data=data, model=model, **changes)


def test_classes_pixels_and_grids_are_those_of_data_and_model(birds: Path):
    known = of(birds)
    assert (known.class_names, known.palette) == (tuple("0123456789"), ())
    assert known.normalization == get_config().data.normalization
    bias = "backbone.blocks.attention.bias"
    names = ("position_embed",), ("relative.table", "gaussian.amplitude", "gaussian.sigma")
    expected = {f"backbone.{name}" for name in names[0]} | {f"{bias}.{name}" for name in names[1]}
    assert known.grids == dict.fromkeys(expected, (2, 4))


def test_classes_of_masks_have_colours_and_both_kinds_of_files(tmp_path: Path):
    root = make_mask_folder(tmp_path, {"train": 2, "val": 1})
    experiment = masks_config.get_config()
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, data_dir=str(root)))
    known = trained_on(experiment, feeds.open_sources(experiment))
    assert (known.class_names, known.palette) == (("sky", "road", "car"), generated_palette(3))
    counts = {name: each.num_files for name, each in known.files.items()}
    assert counts == {"mask_folder train": 4, "mask_folder validation": 2}
    assert from_json(json.loads(json.dumps(dataclasses.asdict(known)))) == known


def test_files_are_those_of_every_split_wherever_they_are(birds: Path, tmp_path: Path):
    files = of(birds).files
    assert {name: each.num_files for name, each in files.items()} == {"folder train": 20, "folder validation": 3}
    shutil.copytree(birds, tmp_path / "elsewhere")
    assert of(tmp_path / "elsewhere").files == files


def test_a_changed_size_or_name_is_another_identity(birds: Path):
    before = of(birds).files
    (birds / "val/3/000.png").rename(birds / "val/3/001.png")
    renamed = of(birds).files
    assert renamed["folder train"] == before["folder train"]
    assert renamed["folder validation"].num_bytes == before["folder validation"].num_bytes
    assert renamed["folder validation"] != before["folder validation"]
    with (birds / "train/0/000.png").open("ab") as file:
        file.write(b"x")
    assert of(birds).files["folder train"].num_bytes == before["folder train"].num_bytes + 1


def test_a_random_split_is_of_the_whole_set(tmp_path: Path):
    root = make_folder(tmp_path, {str(index): 8 for index in range(10)})
    experiment = on_folder(root)
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, split_protocol="paper"))
    files = trained_on(experiment, feeds.open_sources(experiment)).files
    assert {name: each.num_files for name, each in files.items()} == {"folder": 80}


def test_an_evaluator_with_a_folder_of_its_own_is_told_apart(birds: Path, tmp_path: Path):
    other = make_folder(tmp_path / "other", {f"{index}": 1 for index in (2, 7)})
    evaluators = (Evaluator(), Evaluator(name="other", data_dir=str(other), split="all"))
    files = of(birds, evaluators=evaluators).files
    assert {name: each.num_files for name, each in files.items()} == {
        "folder train": 20,
        "folder validation": 3,
        "folder all of other": 2,
    }


def test_a_trained_model_knows_its_classes(workdir: Path):
    assert trained(workdir).class_names == tuple("0123456789")
    known = read_record(workdir, 4).trained_on
    assert list(known.files) == ["digits train", "digits test[:50]"]
    assert known.files["digits train"].num_files == 1

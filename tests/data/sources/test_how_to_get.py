"""How to get a data set: the nearest name, and one remedy for what is installed."""

import pytest

from gauss_vit.data.sources import how_to_get
from gauss_vit.data.sources.how_to_get import check_name, remedy, steps
from gauss_vit.errors import DataError

BUILD = "tfds build cifar10 --data_dir=D --file_format=array_record"
OTHER_NAMES = ("folder", "mask_folder", "ade20k", "scene_parse150", "digits")
READER, WRITER = "pip install 'gauss_vit[tfds]'", "pip install tensorflow"


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (("tensorflow_datasets", "tensorflow"), (BUILD,)),
        (("tensorflow_datasets",), (WRITER, BUILD)),
        ((), (READER, WRITER, BUILD)),
    ],
)
def test_steps_fit_what_is_installed(installed, expected):
    assert steps("cifar10", "D", has=installed.__contains__) == expected
    assert remedy("cifar10:3.0.2", "D", has=installed.__contains__).endswith(
        "tfds build cifar10:3.0.2 --data_dir=D --file_format=array_record"
    )


def test_imagenet_needs_no_tensorflow():
    (download, command) = steps("imagenet2012", "D", has=lambda package: package != "tensorflow")
    assert "ILSVRC2012_img_train.tar" in download
    assert command == "gauss-vit data prepare --from=ARCHIVES --name=imagenet2012 --data_dir=D"


def test_what_tfds_does_not_know_is_made_from_a_folder():
    assert steps("my_birds", "D", has=lambda package: True) == (
        "gauss-vit data prepare --from=FOLDER --name=my_birds --data_dir=D",
    )


@pytest.mark.parametrize(
    "name",
    [*how_to_get.TFDS_NAMES, "folder", "mask_folder", "ade20k", "scene_parse150", "digits", "caltech101:3.0.2", "x"],
)
def test_every_name_has_complete_steps(name):
    assert not any("{" in line for line in steps(name, "D", has=lambda package: False))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cifar1000", "cifar100"),
        ("imagenet", "imagenet2012"),
        ("imagenet2102", "imagenet2012"),
        ("stanford_dog", "stanford_dogs"),
        ("flder", "folder"),
        ("digit", "digits"),
        ("masks_folder", "mask_folder"),
        ("ade2k", "ade20k"),
    ],
)
def test_the_nearest_name_is_suggested(tmp_path, name, meant):
    with pytest.raises(DataError, match=f"did you mean {meant}") as caught:
        check_name(name, str(tmp_path))
    assert caught.value.do == f"add --config.data.name={meant}"
    (tmp_path / name).mkdir()
    check_name(name, str(tmp_path))


@pytest.mark.parametrize("name", ["cifar10", "cifar10:3.0.2", "cifar10_corrupted/blur_1", "my_birds"])
def test_known_names_and_those_that_resemble_none_pass(tmp_path, name):
    check_name(name, str(tmp_path))

"""How to get a data set: the nearest known name of a misspelled one, or the steps that prepare it in this environment.

Whether the packages that a step needs are installed is asked, so that every step works when it is typed.
"""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

from gauss_vit.config.schema import nearest
from gauss_vit.data.config import ADE20K, COCO, COCO_FOLDER, DIGITS, FOLDER, MASK_FOLDER
from gauss_vit.errors import DataError
from gauss_vit.files import is_remote

SCENE_PARSE150 = "scene_parse150"
IsInstalled = Callable[[str], bool]

TFDS_NAMES = (
    "beans",
    "caltech101",
    "caltech_birds2010",
    "caltech_birds2011",
    "cars196",
    "cats_vs_dogs",
    "cifar10",
    "cifar10_1",
    "cifar10_corrupted",
    "cifar100",
    "coco",
    "colorectal_histology",
    "deep_weeds",
    "dtd",
    "emnist",
    "eurosat",
    "fashion_mnist",
    "food101",
    "i_naturalist2017",
    "i_naturalist2018",
    "i_naturalist2021",
    "imagenet2012",
    "imagenet2012_corrupted",
    "imagenet2012_real",
    "imagenet2012_subset",
    "imagenet_a",
    "imagenet_r",
    "imagenet_sketch",
    "imagenet_v2",
    "imagenette",
    "imagewang",
    "kmnist",
    "mnist",
    "oxford_flowers102",
    "oxford_iiit_pet",
    "patch_camelyon",
    "places365_small",
    "plant_village",
    "resisc45",
    "rock_paper_scissors",
    "stanford_dogs",
    "stl10",
    "sun397",
    "svhn_cropped",
    "tf_flowers",
    "uc_merced",
)
"""Data sets of classes or masks that TFDS can prepare; others may be read too, once they are prepared."""

_USUAL_NAMES: Mapping[str, str] = {
    "cars": "cars196",
    "cifar": "cifar10",
    "flowers102": "oxford_flowers102",
    "imagenet": "imagenet2012",
    "imagenet1k": "imagenet2012",
    "pets": "oxford_iiit_pet",
    "svhn": "svhn_cropped",
}
"""Names that people use, with those of TFDS."""

_READER = "pip install 'gauss_vit[tfds]'"
_MASKS_OF_COCO = "pip install 'gauss_vit[coco]'"
_WRITER = "pip install tensorflow"
_BUILD = "tfds build {name} --data_dir={data_dir} --file_format=array_record"
_PREPARE = "gauss-vit data prepare --from=FOLDER --name={name} --data_dir={data_dir}"
_FOLDER_EXAMPLE = "{data_dir}/train/CLASS/*.jpg and {data_dir}/val/CLASS/*.jpg"
_MASKS_EXAMPLE = "{data_dir}/images/train/*.jpg and masks of the same names into {data_dir}/masks/train/*.png"
_COCO = "unzip train2017.zip, val2017.zip and annotations_trainval2017.zip (from cocodataset.org) into {data_dir}"
_COCO_EXAMPLE = "{data_dir}/train/*.jpg and annotations in COCO's format into {data_dir}/annotations/train.json"
_ADE20K = "unzip ADEChallengeData2016.zip (from data.csail.mit.edu/places/ADEchallenge) into {data_dir}"
_OWN: Mapping[str, tuple[str, ...]] = {
    FOLDER: ("put the images into " + _FOLDER_EXAMPLE,),
    DIGITS: ("pip install 'gauss_vit[digits]'",),
    MASK_FOLDER: ("put the images into " + _MASKS_EXAMPLE,),
    ADE20K: (_ADE20K,),
    SCENE_PARSE150: (
        _ADE20K,
        "read it with --config.data.name=ade20k: TFDS's own builder takes the masks of instances",
    ),
    COCO: (_COCO,),
    COCO_FOLDER: ("put the images into " + _COCO_EXAMPLE,),
}
"""Data sets that are not prepared with TFDS."""

_NEEDED_BY_OWN: Mapping[str, tuple[str, ...]] = {COCO: ("pycocotools",), COCO_FOLDER: ("pycocotools",)}
_BY_HAND: Mapping[str, str] = {
    "imagenet2012_real": "download ILSVRC2012_img_val.tar from image-net.org into {data_dir}/downloads/manual",
    "cars196": (
        "get cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat from a copy of the data "
        "set (its first address is gone) into {data_dir}/downloads/manual"
    ),
}
_ARCHIVES = (
    "download ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from image-net.org (with an account) into ARCHIVES",
    "gauss-vit data prepare --from=ARCHIVES --name={name} --data_dir={data_dir}",
)


def is_installed(package: str) -> bool:
    """Returns whether a package can be imported; it is not imported."""
    return importlib.util.find_spec(package) is not None


def steps(name: str, data_dir: str, *, has: IsInstalled = is_installed) -> tuple[str, ...]:
    """Lists the steps to get a data set, one command or sentence each.

    Args:
      name: Value of `data.name`.
      data_dir: Value of `data.data_dir`.
      has: Function that tells whether a package is installed.

    >>> steps("stanford_dogs", "D", has=lambda package: True)
    ('tfds build stanford_dogs --data_dir=D --file_format=array_record',)
    """
    base = _base(name)
    own = name if base == COCO else base
    if own in _OWN:
        lines: tuple[str, ...] = (*_packages(_NEEDED_BY_OWN.get(own, ()), has=has), *_OWN[own])
    elif base == "imagenet2012":
        lines = _packages(("tensorflow_datasets",), has=has) + _ARCHIVES
    elif base in TFDS_NAMES:
        by_hand = (_BY_HAND[base],) if base in _BY_HAND else ()
        lines = (*by_hand, *_packages(("tensorflow_datasets", "tensorflow"), has=has), _BUILD)
    else:
        lines = (*_packages(("tensorflow_datasets",), has=has), _PREPARE)
    return tuple(line.format(name=name, data_dir=data_dir) for line in lines)


def remedy(name: str, data_dir: str, *, has: IsInstalled = is_installed) -> str:
    """Returns the steps to get a data set as one sentence."""
    return ", then ".join(steps(name, data_dir, has=has))


def rebuild(name: str, data_dir: str, *, has: IsInstalled = is_installed) -> str:
    """Returns the steps to prepare a TFDS data set that is there in a form that cannot be read, as one sentence."""
    lines = (*_packages(("tensorflow_datasets", "tensorflow"), has=has), _BUILD)
    return ", then ".join(line.format(name=name, data_dir=data_dir) for line in lines)


def check_name(name: str, data_dir: str) -> None:
    """Refuses the name of a data set that is neither known nor in the folder, if it resembles a known one.

    Raises:
      DataError: DATA-NAME, with the nearest name.
    """
    base = _base(name)
    known = (FOLDER, DIGITS, MASK_FOLDER, ADE20K, COCO_FOLDER, SCENE_PARSE150, *TFDS_NAMES)
    if base in known or is_remote(data_dir) or (Path(data_dir).expanduser() / base).is_dir():
        return
    meant = _USUAL_NAMES.get(base.lower()) or nearest(base, known)
    if meant is not None:
        message = f"there is no data set {name}, neither of TFDS nor in {data_dir}; did you mean {meant}?"
        raise DataError(message, do=f"add --config.data.name={meant}", code="DATA-NAME")


def _base(name: str) -> str:
    """Returns NAME of `NAME/CONFIG:VERSION`."""
    return name.partition(":")[0].partition("/")[0]


def _packages(needed: tuple[str, ...], *, has: IsInstalled) -> tuple[str, ...]:
    """Returns the commands that install those of the needed packages that are missing."""
    commands = {"tensorflow_datasets": _READER, "tensorflow": _WRITER, "pycocotools": _MASKS_OF_COCO}
    return tuple(commands[package] for package in needed if not has(package))

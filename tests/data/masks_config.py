"""A complete experiment on a folder of drawn images and masks: a config file for tests of what happens before a run."""

import dataclasses

from gauss_vit.data.images.transforms import Resize
from gauss_vit.experiment import Experiment
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.tasks.segmentation import Segmentation
from tests import tiny_config

FLAG = "--config=tests/data/masks_config.py"


def get_config() -> Experiment:
    """A narrow decoder for three classes on the backbone of the tiny config."""
    data = dataclasses.replace(
        tiny_config.DATA,
        name="mask_folder",
        targets="masks",
        data_dir="masks",
        train_split="train",
        eval_split="validation",
        train_transforms=(Resize(),),
    )
    task = Segmentation(head=UPerNetHead(num_classes=3, channels=8, auxiliary=None))
    return dataclasses.replace(tiny_config.get_config(), data=data, task=task)

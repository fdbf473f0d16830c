"""A complete experiment on a drawn folder in COCO's format: a config file for tests of what happens before a run."""

import dataclasses

from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import RandomFlip
from gauss_vit.experiment import Experiment
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.detection import Detection
from gauss_vit.tasks.evaluator import Evaluator
from tests import tiny_config
from tests.heads.detectors import BACKBONE, HEAD

FLAG = "--config=tests/data/objects_config.py"


def get_config() -> Experiment:
    """A narrow detector of three classes."""
    resize = ResizeOrCrop(
        short_sides=(40, 60), longest_side=96, short_sides_before_crop=(30, 40), crop_sides=(25, 35), crop_share=0.5
    )
    data = dataclasses.replace(
        tiny_config.DATA,
        name="coco",
        targets="objects",
        data_dir="coco",
        train_split="train",
        eval_split="train",
        train_transforms=(RandomFlip(), resize),
        eval_transform=ResizeToFit(scale=(96, 60)),
        buckets=((64, 96), (96, 64)),
    )
    return dataclasses.replace(
        tiny_config.get_config(),
        model=BACKBONE,
        data=data,
        task=Detection(head=HEAD),
        evaluators=(Evaluator(name="eval", every=4, measure=CocoMeasure()),),
    )

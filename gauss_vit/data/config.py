"""The data set of a run, its splits, and how images become arrays. Light to import."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gauss_vit.data.images.augment import AutoAugment, RandAugment
from gauss_vit.data.images.color import ColorJitter
from gauss_vit.data.images.header import LARGEST_MAX_PIXELS, MAX_PIXELS
from gauss_vit.data.images.photometric import PhotometricDistortion
from gauss_vit.data.images.random_scale_crop import Pad, RandomScaleCrop
from gauss_vit.data.images.resize_or_crop import ResizeOrCrop
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import (
    CenterCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShift,
    Resize,
    ResizeCenterCrop,
)
from gauss_vit.errors import ConfigError
from gauss_vit.ops.pixel_normalization import Normalization

TrainTransform = (
    RandomResizedCrop
    | RandomFlip
    | RandomShift
    | RandomRotation
    | ColorJitter
    | RandAugment
    | AutoAugment
    | RandomScaleCrop
    | ResizeOrCrop
    | PhotometricDistortion
    | Pad
    | Resize
    | CenterCrop
    | ResizeCenterCrop
)
EvalTransform = ResizeCenterCrop | ResizeToFit
SplitProtocol = Literal["official", "paper"]
OnError = Literal["raise", "skip"]
Targets = Literal["classes", "masks", "objects"]

FOLDER, DIGITS = "folder", "digits"
"""Data sets of one class an image that TFDS does not read."""

ADE20K, MASK_FOLDER = "ade20k", "mask_folder"
"""Data sets of masks that TFDS does not read."""

COCO, COCO_FOLDER = "coco", "coco_folder"
"""Data sets of objects."""

_TARGETS: Mapping[str, Targets] = {
    FOLDER: "classes",
    DIGITS: "classes",
    ADE20K: "masks",
    MASK_FOLDER: "masks",
    COCO: "objects",
    COCO_FOLDER: "objects",
}

BUCKET_MULTIPLE = 32
"""Sides of buckets are multiples of the largest stride that a detector's backbone has."""

DEFAULT_DATA_DIR = "~/tensorflow_datasets"
"""The folder that TFDS uses where none is named."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set, the splits of it that a run uses, and the host-side transforms.

    Attributes:
      name: a TFDS data set prepared in array_record form, as `NAME`, `NAME/CONFIG` or `NAME:VERSION`; "digits" are
        those that come with scikit-learn; "folder" is a folder of images, one folder a class; "mask_folder" is a folder
        of images and their masks; "ade20k" is ADEChallengeData2016 as it is downloaded; "coco" is COCO 2017 as it is
        downloaded; "coco_folder" is a folder of images and annotations in COCO's format.
      data_dir: the TFDS folder that holds it, or the folder of images; "~" is the home folder. The digits need none.
      targets: "classes": one class for each image. "masks": one for each pixel, to learn segmentation from.
        "objects": boxes with a class and a mask, to learn detection from.
      ignored_classes: names of classes of masks whose pixels count for nothing; the others close the gaps.
      split_protocol: "official": the splits that the data set comes with. "paper": a random 70 % "train", 15 %
        "validation" and 15 % "test" of the whole, always the same; see `gauss_vit.data.sources.splits`.
      train_split: split to learn from, such as "train" or "train[:90%]". A slice follows the order of the data: folders
        and what `gauss-vit data prepare` makes of them are in the order of their classes.
      eval_split: split to measure on.
      follow_links: whether links in a folder of images, masks or annotated images may lead out of it.
      on_error: "raise": a damaged image ends the run. "skip": in training its place in the batch counts for nothing; in
        evaluation it is an error all the same.
      max_skipped: how many different images a process may skip before the run ends.
      max_pixels: larger images are refused by their header, before they take memory.
      buckets: (height, width) in pixels, multiples of 32, that batches of images with objects are padded to, the
        smallest that holds a batch; the square of the longest side is added. None: all are padded to the model's size.
      train_transforms: applied in order to every training image; together they must give the model's image size, or
        for objects one that fits a bucket.
      eval_transform: applied to every evaluation image: a central crop of the model's size, or the whole image at a
        size of its own.
      normalization: mean and standard deviation of the colours, applied on the device.
      num_threads: threads that read and decode; the order of examples does not depend on it. 0 decodes in the caller.
    """

    name: str
    data_dir: str = DEFAULT_DATA_DIR
    targets: Targets = "classes"
    ignored_classes: tuple[str, ...] = ()
    train_split: str
    eval_split: str
    train_transforms: tuple[TrainTransform, ...]
    eval_transform: EvalTransform
    normalization: Normalization
    num_threads: int
    split_protocol: SplitProtocol = "official"
    follow_links: bool = False
    on_error: OnError = "raise"
    max_skipped: int = 100
    max_pixels: int = MAX_PIXELS
    buckets: tuple[tuple[int, int], ...] = ()

    def __post_init__(self):
        """Checks what can be checked without opening the data.

        Raises:
          ConfigError: a name is empty, a number is out of range, or the data set has other targets.
        """
        for field, value in (("name", self.name), ("train_split", self.train_split), ("eval_split", self.eval_split)):
            if not value:
                raise ConfigError(
                    f"data.{field} is empty", do=f"give data.{field} a TFDS name such as 'digits' or 'train'"
                )
        self._check_targets()
        for field, count in (("num_threads", self.num_threads), ("max_skipped", self.max_skipped)):
            if count < 0:
                raise ConfigError(f"data.{field} must be 0 or more, got {count}")
        if not 0 < self.max_pixels <= LARGEST_MAX_PIXELS:
            raise ConfigError(f"data.max_pixels must be in 1..{LARGEST_MAX_PIXELS}, got {self.max_pixels}")

    def _check_targets(self) -> None:
        """Checks what is said of the targets.

        Raises:
          ConfigError: the data set has other ones, or they do not suit another field.
        """
        fixed = _TARGETS.get(self.name)
        if fixed not in (None, self.targets):
            raise ConfigError(f"data.name={self.name} has {fixed} as targets", do=f"set data.targets to {fixed!r}")
        if self.ignored_classes and self.targets != "masks":
            raise ConfigError("data.ignored_classes is for masks", do="set data.targets to 'masks', or leave it out")
        if self.buckets and self.targets != "objects":
            raise ConfigError("data.buckets is for objects", do="set data.targets to 'objects', or leave it out")
        if any(side < BUCKET_MULTIPLE or side % BUCKET_MULTIPLE for bucket in self.buckets for side in bucket):
            raise ConfigError(f"data.buckets must be multiples of {BUCKET_MULTIPLE} px, got {self.buckets}")

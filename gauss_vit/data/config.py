"""What a run reads: the data set, its splits, and how images become arrays. Light to import: no tfds, grain or jax."""

import math
from dataclasses import dataclass

from gauss_vit.data.transforms import RandomFlip, RandomResizedCrop, RandomShift, Resize, ResizeCenterCrop
from gauss_vit.errors import ConfigError

TrainTransform = RandomResizedCrop | RandomFlip | RandomShift | Resize | ResizeCenterCrop


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set, the splits of it that a run uses, and the host-side transforms.

    Attributes:
      name: a TFDS data set prepared in array_record form, as `NAME`, `NAME/CONFIG` or `NAME:VERSION`; "digits" is
        embedded and prepared where it is missing.
      data_dir: the TFDS folder that holds it; "~" is the home folder.
      train_split: TFDS split to learn from, such as "train" or "train[:90%]".
      eval_split: TFDS split to measure on.
      train_transforms: applied in order to every training image; together they must give the model's image size.
      eval_transform: applied to every evaluation image.
      pixel_mean: mean of R, G and B in 0..1, subtracted on the device.
      pixel_std: standard deviation of R, G and B in 0..1, divided by on the device.
      num_threads: threads that read and decode; the order of examples does not depend on it. 0 decodes in the caller.
    """

    name: str
    data_dir: str = "~/tensorflow_datasets"
    train_split: str
    eval_split: str
    train_transforms: tuple[TrainTransform, ...]
    eval_transform: ResizeCenterCrop
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    num_threads: int

    def __post_init__(self):
        """Checks what can be checked without opening the data.

        Raises:
          ConfigError: a name is empty, a deviation is not positive and finite, or num_threads is negative.
        """
        for field, value in (("name", self.name), ("train_split", self.train_split), ("eval_split", self.eval_split)):
            if not value:
                raise ConfigError(
                    f"data.{field} is empty", do=f"give data.{field} a TFDS name such as 'digits' or 'train'"
                )
        if not all(math.isfinite(mean) for mean in self.pixel_mean):
            raise ConfigError(f"data.pixel_mean must be finite, got {self.pixel_mean}")
        if not all(math.isfinite(std) and std > 0 for std in self.pixel_std):
            raise ConfigError(f"data.pixel_std must be above 0, got {self.pixel_std}")
        if self.num_threads < 0:
            raise ConfigError(f"data.num_threads must be 0 or more, got {self.num_threads}")

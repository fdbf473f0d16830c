"""What is learned from a record of a TFDS data set: its class, a class for each of its pixels, or objects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow_datasets.public_api as tfds
from jaxtyping import PyTree

from gauss_vit.batches import IGNORED, ClassTargets, Mask, MaskTargets
from gauss_vit.data.config import Targets
from gauss_vit.data.images.header import read_header
from gauss_vit.data.images.mask import classes_of, decode_mask, upright_mask
from gauss_vit.data.sources import ade20k
from gauss_vit.data.sources.how_to_get import SCENE_PARSE150
from gauss_vit.data.sources.mask_classes import MaskClasses, indexed, padding_targets
from gauss_vit.data.sources.tfds_objects import LAST_THING, OBJECT_FEATURES, SegmentReader
from gauss_vit.errors import DataError
from gauss_vit.palette import Palette, generated_palette

Record = Mapping[str, Any]
Features = Mapping[str, Any]

_IMAGE = "image"
_PET_NAMES = ("pet", "background", "border")
_PET_PALETTE: Palette = ((230, 120, 40), (60, 80, 120), (250, 250, 250))
_PANOPTIC_IMAGE, _PANOPTIC_OBJECTS = "panoptic_image", "panoptic_objects"
_NO_SEGMENT = 0


@runtime_checkable
class TargetReader(Protocol):
    """Makes the targets of records."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class index."""
        ...

    @property
    def palette(self) -> Palette:
        """One colour for each class index; empty where classes have none."""
        ...

    @property
    def padding_targets(self) -> PyTree:
        """Zeros in the structure, shapes and types of the targets of every record."""
        ...

    def read(self, record: Record, *, name: str) -> PyTree:
        """Makes the targets of a record; `name` is its name in error messages.

        Raises:
          DataError: DATA-LABEL, a label or a value of a mask is not that of a class; as `MaskClasses.read`.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ClassReader:
    """Reads the class of an image.

    Attributes:
      class_names: one name for each class index.
      label: name of the feature with the class.
      accepted: name of the feature with every class that counts as right; None if the data set has none.
    """

    class_names: tuple[str, ...]
    label: str
    accepted: str | None

    @property
    def palette(self) -> Palette:
        """None: a class of an image has no colour."""
        return ()

    @property
    def padding_targets(self) -> ClassTargets:
        """Class 0, and no accepted class where the data set lists them."""
        accepted = None if self.accepted is None else np.zeros(len(self.class_names), np.bool_)
        return ClassTargets(label=np.int32(0), accepted=accepted)

    def read(self, record: Record, *, name: str) -> ClassTargets:
        """Reads the class, and every accepted one where the data set lists them; the list may be empty.

        Raises:
          DataError: DATA-LABEL, a label is not a class index.
        """
        label = int(record[self.label])
        listed = () if self.accepted is None else tuple(int(other) for other in record[self.accepted])
        for index in (label, *listed):
            _require_class(index, num_classes=len(self.class_names), name=name)
        accepted = None if self.accepted is None else np.isin(np.arange(len(self.class_names)), listed)
        return ClassTargets(label=np.int32(label), accepted=accepted)


@dataclass(frozen=True, kw_only=True)
class MaskReader:
    """Reads a mask of class indices.

    Attributes:
      feature: name of the feature with the mask.
      classes: what it holds.
      max_pixels: larger masks are refused.
    """

    feature: str
    classes: MaskClasses
    max_pixels: int

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class index."""
        return self.classes.names

    @property
    def palette(self) -> Palette:
        """One colour for each class index."""
        return self.classes.palette

    @property
    def padding_targets(self) -> MaskTargets:
        """A mask of zeros."""
        return padding_targets()

    def read(self, record: Record, *, name: str) -> MaskTargets:
        """Decodes the mask.

        Raises:
          DataError: as `MaskClasses.read`.
        """
        return self.classes.read(
            record[self.feature], image=record[_IMAGE], name=f"{name}, {self.feature}", max_pixels=self.max_pixels
        )


@dataclass(frozen=True, kw_only=True)
class PanopticReader:
    """Reads the segments of things and stuff as one class for each pixel; pixels in no segment are ignored.

    Attributes:
      class_names: one name for each class index, those of things before those of stuff.
      max_pixels: larger masks are refused.
    """

    class_names: tuple[str, ...]
    max_pixels: int

    @property
    def palette(self) -> Palette:
        """Generated colours."""
        return generated_palette(len(self.class_names))

    @property
    def padding_targets(self) -> MaskTargets:
        """A mask of zeros."""
        return padding_targets()

    def read(self, record: Record, *, name: str) -> MaskTargets:
        """Replaces the segments of a record by their classes; a crowd has the class of its members.

        Raises:
          DataError: the mask cannot be read; DATA-LABEL, it has a segment that is not listed, or one of no class.
        """
        name, segments = f"{name}, {_PANOPTIC_IMAGE}", record[_PANOPTIC_OBJECTS]
        class_of = {int(number): int(label) for number, label in zip(segments["id"], segments["label"], strict=True)}
        for label in class_of.values():
            _require_class(label, num_classes=len(self.class_names), name=name)
        header = read_header(record[_IMAGE], name=name, max_pixels=self.max_pixels)
        stored = decode_mask(record[_PANOPTIC_IMAGE], name=name, max_pixels=self.max_pixels)
        values = classes_of(
            stored.values, {**class_of, _NO_SEGMENT: IGNORED}, name=name, shown=lambda number: f"segment {number}"
        )
        return MaskTargets(mask=Mask(values=upright_mask(values, header, name=name)))


def find_reader(builder: tfds.core.DatasetBuilder, targets: Targets, *, max_pixels: int) -> TargetReader:
    """Finds what reads the targets that a run asks for.

    Raises:
      DataError: DATA-TFDS, the data set does not have them; DATA-LABEL, it does not say how many classes it has.
    """
    full_name, features = builder.info.full_name, dict(builder.info.features.items())
    if targets == "classes":
        return _class_reader(full_name, features)
    if targets == "objects":
        return _segment_reader(full_name, features, max_pixels=max_pixels)
    return _mask_reader(builder.info.name, full_name, features, max_pixels=max_pixels)


def _class_reader(full_name: str, features: Features) -> ClassReader:
    """Finds a data set's class labels.

    ImageNet, its V2, A and R, CIFAR, cars196 and most others have a `label`; ImageNet ReaL has an `original_label`, and
    in `real_label` all that count as right.

    Raises:
      DataError: as `find_reader`.
    """
    labels = [key for key in ("label", "original_label") if isinstance(features.get(key), tfds.features.ClassLabel)]
    if not labels or not isinstance(features.get(_IMAGE), tfds.features.Image):
        message = f"{full_name} has no image with one class label; it has {', '.join(sorted(features))}"
        raise DataError(message, do="choose a classification data set", code="DATA-TFDS")
    if not features[labels[0]].num_classes:
        message = f"{full_name}: its feature {labels[0]} does not say how many classes there are"
        raise DataError(message, do="rebuild the data set, with names or num_classes", code="DATA-LABEL")
    return ClassReader(
        class_names=tuple(features[labels[0]].names),
        label=labels[0],
        accepted="real_label" if "real_label" in features else None,
    )


def _mask_reader(name: str, full_name: str, features: Features, *, max_pixels: int) -> TargetReader:
    """Finds a data set's masks: by its name, for their values say nothing; those of segments by their features.

    Raises:
      DataError: DATA-TFDS, it has none that are known.
    """
    known = {
        (SCENE_PARSE150, "annotation"): _scene_classes,
        ("oxford_iiit_pet", "segmentation_mask"): _pet_classes,
    }
    for (data_set, feature), classes in known.items():
        if name == data_set and feature in features:
            return MaskReader(feature=feature, classes=classes(), max_pixels=max_pixels)
    if {_IMAGE, _PANOPTIC_IMAGE, _PANOPTIC_OBJECTS} <= features.keys():
        names = tuple(features[_PANOPTIC_OBJECTS]["label"].names)
        return PanopticReader(class_names=names, max_pixels=max_pixels)
    message = f"{full_name} has no masks that are known; it has {', '.join(sorted(features))}"
    do = "read scene_parse150, oxford_iiit_pet or coco/2017_panoptic, or a folder with data.name=mask_folder"
    raise DataError(message, do=do, code="DATA-TFDS")


def _segment_reader(full_name: str, features: Features, *, max_pixels: int) -> SegmentReader:
    """Finds a data set's panoptic segments, and which of their classes are of things.

    Raises:
      DataError: DATA-TFDS, it has none, or other classes than COCO's.
    """
    names = tuple(features[_PANOPTIC_OBJECTS]["label"].names) if features.keys() >= OBJECT_FEATURES else ()
    if LAST_THING not in names:
        message = f"{full_name} has no objects that are known; it has {', '.join(sorted(features))}"
        do = "read coco/2017_panoptic, or COCO as it is downloaded, with data.name=coco"
        raise DataError(message, do=do, code="DATA-TFDS")
    return SegmentReader(class_names=names[: names.index(LAST_THING) + 1], max_pixels=max_pixels)


def _scene_classes() -> MaskClasses:
    """The classes of ADE20K; what TFDS's own builder takes for their masks are those of instances, in two channels."""
    return replace(ade20k.ade20k_classes(), hint="read ADEChallengeData2016 with --config.data.name=ade20k")


def _pet_classes() -> MaskClasses:
    return indexed(_PET_NAMES, first=1, ignored=(), palette=_PET_PALETTE)


def _require_class(index: int, *, num_classes: int, name: str) -> None:
    if not 0 <= index < num_classes:
        raise DataError(f"{name}: label {index} is not in 0..{num_classes - 1}", code="DATA-LABEL")

"""A box that a model predicts in an image, as the target of a receptive field."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gauss_vit.analysis.token import Token
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.assembly.preset_images import in_words
from gauss_vit.batches import Batch
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.network_features import BoxScore, ScoredBoxes
from gauss_vit.inspect.photos import Photo, pixels_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectedBox:
    """A box in an image of the model's size.

    Attributes:
      score: what is differentiated.
      token: (row, column) of the pixel in its centre.
      record: what the task says of it.
    """

    score: BoxScore
    token: Token
    record: Mapping[str, str | int | float | None]


def detected_box(named: NamedModel, image: Path | Photo, index: int) -> DetectedBox:
    """Finds a box of an image that has the model's size.

    Args:
      named: the model.
      image: the image.
      index: place of the box by falling score, from 0.

    Raises:
      ConfigError: the task predicts no boxes, or not so many.
      DataError: the image is damaged.
    """
    batch = Batch(image=pixels_of(named, image)[None], is_real=np.ones(1, bool), targets=None)
    predict = jax.jit(lambda params, images: named.task.predict(nnx.merge(named.graph, params)(images), batch))
    found = jax.device_get(predict(named.params, named.normalization(jnp.asarray(batch.image))))
    if not isinstance(found, ScoredBoxes):
        raise ConfigError(f"{named.name} predicts no boxes", do="measure a layer, such as --layer=last")
    prediction = jax.tree.map(lambda leaf: leaf[0], found)
    records = named.task.records(prediction, class_names=in_words(named.class_names), limit=index + 1).items
    if len(records) <= index:
        known = f"{len(records)} boxes" if records else "no boxes"
        do = f"choose one of 0..{len(records) - 1}" if records else "choose another image, or train for longer"
        raise ConfigError(f"{named.name} finds {known} in this image, and --box={index} is not among them", do=do)
    y0, x0, y1, x1 = prediction.yxyx[index].tolist()
    height, width = named.config.image_size
    token = min(int((y0 + y1) / 2), height - 1), min(int((x0 + x1) / 2), width - 1)
    return DetectedBox(score=BoxScore(task=named.task, index=index), token=token, record=records[index])


def in_a_line(box: DetectedBox) -> str:
    """Describes a box in a line, by what the task says of it.

    >>> from gauss_vit.tasks.classification import Classification
    >>> score = BoxScore(task=Classification(), index=2)
    >>> in_a_line(DetectedBox(score=score, token=(3, 4), record={"name": "dog", "probability": 0.5, "x": 1}))
    'box 2: name dog, probability 0.5, x 1'
    """
    said = ", ".join(f"{name} {value}" for name, value in box.record.items() if value is not None)
    return f"{box.score}: {said}"

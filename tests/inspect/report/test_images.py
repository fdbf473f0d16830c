"""The images of a report: spread over classes, with what the model says of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from gauss_vit.batches import Mask, MaskTargets
from gauss_vit.data.images.image import open_images
from gauss_vit.inspect.photos import Photo, photos_of
from gauss_vit.inspect.report.images import NUM_CHOICES, shown_images, spread_over_classes
from gauss_vit.inspect.report.packing import unpack
from tests.inspect.report.samples import photos
from tests.named_models import named_of
from tests.segmenter import CLASSES, PALETTE, segmenter


def labelled(*labels: int | None) -> tuple[Photo, ...]:
    pixels = np.zeros((16, 32, 3), np.uint8)
    return tuple(Photo(name=str(index), pixels=pixels, label=label) for index, label in enumerate(labels))


def names(chosen: tuple[Photo, ...]) -> list[str]:
    return [photo.name for photo in chosen]


def test_every_class_is_shown_before_a_second_image_of_one():
    assert names(spread_over_classes(labelled(2, 2, 0, 1, 0, 2), 4)) == ["2", "3", "0", "4"]
    assert names(spread_over_classes(labelled(2, 2, 0), 9)) == ["2", "0", "1"]


def test_images_without_labels_keep_their_order():
    assert names(spread_over_classes(labelled(None, None, None), 2)) == ["0", "1"]


def test_most_probable_classes_are_those_of_the_network():
    named = named_of()
    (image,) = shown_images(named, photos(1))
    pixels = named.normalization(jnp.asarray(photos(1)[0].pixels[None]))
    logits = np.asarray(jax.jit(nnx.merge(named.graph, named.params))(pixels)[0], np.float64)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    indices, values = zip(*image.top, strict=True)
    assert list(indices) == np.argsort(-probabilities, kind="stable")[:NUM_CHOICES].tolist()
    np.testing.assert_allclose(values, probabilities[list(indices)], rtol=1e-4)


def test_areas_are_those_of_the_prediction_and_of_the_mask():
    named = segmenter()
    (photo,) = photos(1)
    mask = np.zeros((16, 32), np.uint8)
    mask[:, 20:] = 2
    (image,) = shown_images(named, (dataclasses.replace(photo, targets=MaskTargets(mask=Mask(values=mask))),))
    predicted, labelled = image.areas
    assert (predicted.title, labelled.title) == ("predicted", "labelled")
    assert labelled.labels == (("sky", PALETTE[0]), ("land", PALETTE[2]))
    logits = jax.jit(nnx.merge(named.graph, named.params))(named.normalization(jnp.asarray(photo.pixels[None]))).logits
    # Interpolation to the image keeps the logits of a patch at its own quarter of the image.
    corner = int(np.argmax(logits[0, 0, 0]))
    assert predicted.labels[unpack(predicted.values)[0, 0]][0] == CLASSES[corner].split(",")[0]
    assert image.top == ()


def test_image_in_the_folder_of_a_class_is_labelled(tmp_path):
    for folder in ("heron", "other"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (40, 20)).save(tmp_path / folder / "0.png")
    known = dataclasses.replace(named_of(), class_names=("egret", "heron"))
    assert [photo.label for photo in photos_of(known, open_images(tmp_path))] == [1, None]

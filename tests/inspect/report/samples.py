"""A tiny Swin transformer, images for tiny models, what to measure of them, and the data in a page."""

import json
import re

import numpy as np

from gauss_vit.analysis.protocol import PRE_NORM
from gauss_vit.inspect.photos import Photo
from gauss_vit.inspect.report.layer_fields import FieldPlan
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian

SWIN = SwinConfig(
    image_size=(16, 32),
    patch_size=(4, 4),
    width=8,
    depths=(1, 2),
    num_heads=(1, 2),
    window=(2, 4),
    biases="all",
    similarity="product",
    norm="before",
    position=Position(terms=(Gaussian(anisotropic=True),)),
)


def photos(num_images: int) -> tuple[Photo, ...]:
    draws = np.random.default_rng(0).integers(256, size=(num_images, 16, 32, 3)).astype(np.uint8)
    return tuple(Photo(name=f"{index}.png", pixels=pixels) for index, pixels in enumerate(draws))


def plan(num_images: int) -> FieldPlan:
    return FieldPlan(photos=photos(num_images), protocol=PRE_NORM, layers="all", batch_size=2, page=None)


def document(page: str) -> dict:
    """Returns the JSON document in a page."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(text)

"""A Mask R-CNN small enough to compile in seconds, with images and objects for it."""

import functools

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import tree_map_with_path
from jaxtyping import PyTree

from gauss_vit.batches import OBJECT_MASK_SIZE, Boxes, ObjectTargets
from gauss_vit.heads.box_head import BoxHead
from gauss_vit.heads.mask_head import MaskHead
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.rpn import RPNHead
from gauss_vit.models.construct import ModelConfig, abstract
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position import Gaussian
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.tree import path_of

SIZE, NUM_CLASSES, NUM_OBJECTS = (64, 96), 3, 4

BACKBONE = SwinConfig(
    image_size=SIZE,
    windows="fixed",
    width=8,
    depths=(1, 2),
    num_heads=(1, 2),
    window=(4, 4),
    position=Position(terms=(RelativeTable(), Gaussian())),
    biases="all",
    similarity="product",
    norm="before",
)
HEAD = MaskRCNNHead(
    num_classes=NUM_CLASSES,
    channels=8,
    # Scale 4 fits anchors of 16, 32 and 64 pixels into images of 64 x 96.
    rpn=RPNHead(scale=4.0, num_samples=32, num_before=60, num_before_inference=40, num_proposals=40),
    box=BoxHead(hidden=16, bins=3, num_samples=24, num_candidates=60, limit=8),
    mask=MaskHead(channels=8, num_convolutions=1, bins=4),
)
NETWORK = NetworkConfig(backbone=BACKBONE, head=HEAD)


@functools.cache
def params_of(config: ModelConfig) -> PyTree:
    """Parameters as after some training: nothing is zero, so that every path carries a signal and a gradient."""
    random = np.random.default_rng(0)

    def draw(key_path, leaf):
        noise = random.normal(size=leaf.shape)
        positive = {"scale": 1 + 0.2 * noise, "amplitude": 2 + noise, "sigma": 2 + noise}
        fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 25
        return jnp.asarray(np.float32(positive.get(path_of(key_path).rsplit(".", 1)[1], noise / np.sqrt(fan_in))))

    return tree_map_with_path(draw, abstract(config)[1])


def detector(config: NetworkConfig = NETWORK) -> nnx.Module:
    """The network under a config with the parameters of the tiny one."""
    return nnx.merge(abstract(config)[0], params_of(NETWORK))


def images_of(batch: int = 2, size: tuple[int, int] = SIZE) -> jnp.ndarray:
    """Normalised images of noise."""
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *size, 3)), jnp.float32)


def targets_of(batch: int = 2, *, size: tuple[int, int] = SIZE, num_objects: int = 3) -> ObjectTargets:
    """Ellipses that fill their boxes, `num_objects` in every image but the second, which has none."""
    random = np.random.default_rng(1)
    corner = random.uniform(0, 0.5, (batch, NUM_OBJECTS, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0.2, 0.5, corner.shape)], axis=-1) * np.tile(size, 2)
    boxes[:, num_objects:] = 0
    boxes[1:2] = 0
    rows, columns = (np.mgrid[:OBJECT_MASK_SIZE, :OBJECT_MASK_SIZE] + 0.5) / OBJECT_MASK_SIZE - 0.5
    ellipse = np.where(np.hypot(rows, columns) < 0.5, 255, 0).astype(np.uint8)
    sizes = np.tile(np.asarray(size, np.int32), (batch, 1))
    return ObjectTargets(
        boxes=Boxes(yxyx=jnp.asarray(boxes, jnp.float32)),
        label=jnp.asarray(random.integers(NUM_CLASSES, size=(batch, NUM_OBJECTS)), jnp.int32),
        masks=jnp.asarray(np.broadcast_to(ellipse, (batch, NUM_OBJECTS, *ellipse.shape))),
        size=jnp.asarray(sizes),
        original_size=jnp.asarray(sizes),
        image_id=jnp.arange(batch, dtype=jnp.int32),
    )

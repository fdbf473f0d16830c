"""Drawn shapes with masks, a segmentation network small enough to train in milliseconds, and its recipe."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from gauss_vit.batches import IGNORED, Batch, Mask, MaskTargets
from gauss_vit.config.schema import JsonValue
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.fcn import FCNHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.construct import ModelConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.ops.dropout import dropout
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import Position
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.tasks.evaluator import Best, Evaluator
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train.config import Training
from gauss_vit.train.limits import Limits
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.program import Program, make_program
from gauss_vit.train.run import Feed, Run

SIZE, CANVAS, STRIDE, NUM_EVAL = (16, 24), (64, 64), 2, 11
CLASSES = ("background", "box", "disc", "never drawn")
_COLOURS = np.asarray([(60, 60, 60), (200, 40, 40), (40, 40, 200)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatchHead:
    """A linear map of the pixels of patches, and a second one as auxiliary; it has no use for a backbone."""

    num_classes: int | None = len(CLASSES)

    def make(self, backbone: BackboneConfig | None, *, key: PRNGKeyArray) -> "PatchLogits":
        del backbone
        return PatchLogits(self, key=key)


class PatchLogits(nnx.Module):
    def __init__(self, config: PatchHead, *, key: PRNGKeyArray):
        shape = (STRIDE * STRIDE * 3, config.num_classes)
        self.kernel, self.auxiliary = (
            nnx.Param(jax.random.normal(each, shape, jnp.float32) * 0.1) for each in jax.random.split(key)
        )

    def __call__(
        self,
        backbone: Backbone | None,
        images: Float[Array, "batch height width 3"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> DenseLogits:
        """Computes logits of patches; a key turns dropout on."""
        del backbone
        batch, height, width, _ = images.shape
        rows, columns = height // STRIDE, width // STRIDE
        patches = images.reshape(batch, rows, STRIDE, columns, STRIDE, 3).transpose(0, 1, 3, 2, 4, 5)
        patches = dropout(patches.reshape(batch, rows, columns, -1), rate=0.1, key=key)
        return DenseLogits(logits=patches @ self.kernel[...], auxiliary=patches @ self.auxiliary[...])


HEAD = PatchHead()
TASK = Segmentation(head=HEAD)


def draw(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draws a box and a disc, and returns the class of every pixel; the rim of the image is ignored."""
    rows, columns = np.meshgrid(*((np.arange(length) + 0.5) / length for length in size), indexing="ij")
    top, left, down, right = random.uniform(0, 0.4, 4)
    centre, radius = random.uniform(0.3, 0.7, 2), random.uniform(0.15, 0.3)
    classes = np.zeros(size, np.uint8)
    classes[(rows > top) & (rows < top + 0.2 + down) & (columns > left) & (columns < left + 0.2 + right)] = 1
    classes[np.hypot(rows - centre[0], columns - centre[1]) < radius] = 2
    classes[0], classes[:, -1] = IGNORED, IGNORED
    return classes


def painted(random: np.random.Generator, classes: np.ndarray) -> np.ndarray:
    """Colours classes, with noise; ignored pixels are grey."""
    colours = np.where((classes == IGNORED)[..., None], 128, _COLOURS[np.minimum(classes, 2)])
    return (colours + random.integers(-30, 31, colours.shape)).astype(np.uint8)


def batch_of(step: int, batch_size: int) -> Batch:
    """Draws a training batch, as a pure function of the step."""
    random = np.random.default_rng(step)
    classes = np.stack([draw(random, SIZE) for _ in range(batch_size)])
    return Batch(
        image=painted(random, classes),
        is_real=np.ones(batch_size, bool),
        targets=MaskTargets(mask=Mask(values=classes)),
        is_flipped=random.random(batch_size) < 0.5,
    )


def whole_images(seed: int, count: int) -> Batch:
    """Draws images with masks of sizes of their own, twice or three times as large and more, on one canvas."""
    random = np.random.default_rng(seed)
    sizes = np.stack([random.integers(2 * side, 64, count) for side in SIZE], axis=1).astype(np.int32)
    images, canvases = [], np.full((count, *CANVAS), IGNORED, np.uint8)
    for canvas, (height, width) in zip(canvases, sizes, strict=True):
        classes = draw(random, (height, width))
        canvas[:height, :width] = classes
        rows, columns = (np.arange(side) * size // side for side, size in zip(SIZE, (height, width), strict=True))
        images.append(painted(random, classes[rows][:, columns]))
    return Batch(
        image=np.stack(images),
        is_real=np.ones(count, bool),
        targets=MaskTargets(mask=Mask(values=canvases), size=sizes),
    )


def eval_batches(batch_size: int) -> Iterator[Batch]:
    """Cuts the images of the evaluation into batches; the last one is short."""
    whole = whole_images(10**6, NUM_EVAL)
    for start in range(0, NUM_EVAL, batch_size):
        yield jax.tree.map(lambda leaf, start=start: leaf[start : start + batch_size], whole)


class HeadAlone(nnx.Module):
    """A head as a network."""

    def __init__(self, head: PatchLogits):
        self.head = head

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None, targets: PyTree = None
    ) -> DenseLogits:
        return self.head(None, images, key=key)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapesNetwork:
    """The head alone, as a network."""

    head: PatchHead = HEAD

    def make(self, key: PRNGKeyArray) -> HeadAlone:
        return HeadAlone(self.head.make(None, key=key))


PATCHES = ShapesNetwork()
UPERNET = NetworkConfig(
    backbone=SwinConfig(
        image_size=SIZE,
        patch_size=(2, 2),
        width=8,
        depths=(2, 2),
        num_heads=(1, 2),
        window=(4, 4),
        biases="all",
        similarity="product",
        norm="before",
        position=Position(terms=(RelativeTable(), Gaussian(sigma=1.0))),
    ),
    head=UPerNetHead(num_classes=len(CLASSES), channels=8, pool_scales=(1, 2), auxiliary=FCNHead(channels=4)),
)
"""A small Swin with the Gaussian under a small UPerNet."""

TRAINING = Training(
    batch_size=8,
    num_steps=30,
    eval_batch_size=8,
    log_every=7,
    checkpoint_every=5,
    keep_checkpoints=2,
    accumulate=2,
    ema_decay=0.9,
    best=Best(metric="eval/ema_miou", mode="max"),
)
EVALUATORS = (Evaluator(every=10),)
OPTIMIZER = Optimizer(rule=AdamW(), learning_rate=0.05, weight_decay=0.0, schedule=Schedule(curve=Constant()))
NORMALIZATION = Normalization(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
MESH, LIMITS = MeshConfig(data=4), Limits()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapesRecipe:
    """The recipe of the run, on four devices."""

    training: Training = TRAINING
    network: ModelConfig = PATCHES
    task: Segmentation = TASK
    normalization: Normalization = NORMALIZATION
    evaluators: tuple[Evaluator, ...] = EVALUATORS
    optimizer: Optimizer = OPTIMIZER
    mesh: MeshConfig = MESH
    limits: Limits = LIMITS
    seed: int = 0

    def to_json(self) -> dict[str, JsonValue]:
        return {"seed": self.seed, "training": dataclasses.asdict(self.training)}

    def with_defaults(self, recorded: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        return recorded


RECIPE = ShapesRecipe()


@functools.cache
def program(recipe: ShapesRecipe = RECIPE) -> Program:
    """Builds the program of a recipe once for all runs of a process."""
    return make_program(recipe)


def run_in(workdir: Path, recipe: ShapesRecipe = RECIPE) -> Run:
    """Makes a run."""
    training = recipe.training
    feed = Feed(
        train=lambda start: (batch_of(step, training.batch_size) for step in range(start, training.num_steps)),
        evaluation=lambda name: eval_batches(training.eval_batch_size),
        digest=lambda step: f"digest-{step}",
    )
    return Run(workdir=workdir, recipe=recipe, program=program(recipe), feed=feed)

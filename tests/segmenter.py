"""A segmentation network that compiles in no time, drawn images with masks, and a model for tests of verbs."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray
from PIL import Image

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.experiment import Experiment
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.models.layers import Linear
from gauss_vit.tasks.segmentation import Segmentation
from tests import tiny_config
from tests.models.built import build
from tests.named_models import named_of
from tests.tiny_config import MODEL

CLASSES = ("sky, firmament", "sea", "land")
PALETTE = ((120, 180, 250), (10, 60, 160), (60, 160, 40))


@dataclass(frozen=True, kw_only=True)
class PatchHead:
    """A linear classifier of the patches at the end of a backbone."""

    num_classes: int | None = len(CLASSES)

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> "PatchClassifier":
        return PatchClassifier(self, backbone, key=key)


class PatchClassifier(nnx.Module):
    def __init__(self, config: PatchHead, backbone: BackboneConfig, *, key: PRNGKeyArray):
        self.linear = Linear(backbone.num_features, config.num_classes, start="truncated_normal", key=key)

    def features(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """The map that the classifier reads."""
        return backbone.features(images).last

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> DenseLogits:
        """Computes the logits of patches."""
        del key
        return DenseLogits(logits=self.linear(self.features(backbone, images)).astype(jnp.float32))


TASK = Segmentation(head=PatchHead())


def segmenter() -> NamedModel:
    """A model with drawn parameters, large enough that its predictions differ from patch to patch."""
    params = nnx.to_pure_dict(nnx.state(build(NetworkConfig(backbone=MODEL, head=TASK.head), jax.random.key(2))))
    params["head"] = jax.tree.map(lambda leaf: 50 * leaf, params["head"])
    return dataclasses.replace(
        named_of(MODEL, name="shore"), task=TASK, params=params, class_names=CLASSES, palette=PALETTE
    )


def write_shore(folder: Path, *, num_images: int, size: tuple[int, int] = (32, 64)) -> Path:
    """Writes noise with masks, in the layout of `mask_folder`: a third of each image is of each class."""
    height, width = size
    random = np.random.default_rng(0)
    mask = np.repeat(np.arange(3, dtype=np.uint8), -(-width // 3))[:width]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    for index in range(num_images):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        Image.fromarray(np.tile(mask, (height, 1))).save(folder / "masks" / f"{index}.png")
    return folder


def experiment_on(folder: Path) -> Experiment:
    """The experiment of the same network on the images in a folder."""
    data = dataclasses.replace(
        tiny_config.DATA, name="mask_folder", data_dir=str(folder), targets="masks", train_split="all", eval_split="all"
    )
    training = dataclasses.replace(tiny_config.TRAINING, observe_images=2)
    return dataclasses.replace(tiny_config.get_config(), task=TASK, data=data, training=training)

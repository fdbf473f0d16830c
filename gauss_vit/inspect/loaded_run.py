"""A trained run in Python: its model, the preparation of images, and its features for receptive fields."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, Float, PyTree
from PIL import Image

from gauss_vit.analysis.protocol import BMVC2023, ErfProtocol
from gauss_vit.assembly import named_model
from gauss_vit.assembly.device import experiment_here
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.assembly.selection import choose
from gauss_vit.data.images.image import load_image, to_array
from gauss_vit.errors import ArrayError
from gauss_vit.experiment import Experiment
from gauss_vit.inspect.network_features import Layer, network_features

Picture = str | Path | Image.Image | np.ndarray
"""The path of an image file, a Pillow image, or RGB bytes, uint8 [height, width, 3]; sizes may differ."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A trained model with what it needs to be used.

    Attributes:
      config: Experiment of the run: model, task, data, optimizer, training.
      named: Model with its parameters, as the verbs of the command line use it.
    """

    config: Experiment
    named: NamedModel

    @property
    def params(self) -> PyTree:
        """Parameters of the network, a nested dict with the keys `backbone` and `head`."""
        return self.named.params

    @property
    def step(self) -> int:
        """Number of updates of the parameters."""
        return self.named.step

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the model's outputs."""
        return self.named.class_names

    @property
    def model(self) -> nnx.Module:
        """Network, a function from prepared images to the outputs of its head, which are logits in classification."""
        return nnx.merge(self.named.graph, self.params)

    def prepare(self, pictures: Picture | Sequence[Picture]) -> Float[Array, "batch height width 3"]:
        """Returns pictures as the model sees them: resized as in the run's evaluation, and normalised.

        Args:
          pictures: one picture or several: paths of image files, Pillow images, or RGB bytes, uint8 [height, width, 3].

        Raises:
          ArrayError: an array is not uint8 [height, width, 3].
          DataError: a file is damaged.
        """
        several = pictures if isinstance(pictures, Sequence) and not isinstance(pictures, str) else [pictures]
        size = self.named.config.image_size
        pixels = [to_array(self.named.transform(_opened(picture), size=size)) for picture in several]
        return self.named.normalization(jnp.asarray(np.stack(pixels)))

    def features(self, *, layer: Layer = None, protocol: ErfProtocol = BMVC2023) -> Partial:
        """Returns the function from prepared images to a feature map that a receptive field is measured on.

        Args:
          layer: Number of the block whose output is read, from 1; "decoder" for the map that a segmentation head
            classifies; "p3" and the like for a level of a detector's pyramid; None for the end of the backbone.
          protocol: Definition of the field: it decides whether the end is read after the last normalisation.

        Raises:
          ConfigError: there is no such layer.
        """
        return network_features(self.named.network, self.params, layer=layer, protocol=protocol)


def load_run(workdir: str | Path, *, best: bool = False, ema: bool = False, known: Sequence[type] = ()) -> LoadedRun:
    """Loads the model of a run, on one device.

    Args:
      workdir: Folder of the run, which may be training.
      best: Whether to take the best checkpoint by the run's own rule rather than the newest.
      ema: Whether to take the moving average of the parameters.
      known: Classes that a user defined, such as position terms, which the run's config may name.

    Raises:
      ConfigError: the folder does not contain a run, or the run keeps no moving average.
      CheckpointError: there is no such checkpoint, or none verifies.
    """
    folder = Path(workdir)
    run = experiment_here(named_model.run_experiment(folder, known=known))
    named = named_model.trained(folder, known=known, chosen=choose(folder, run, best=best, ema=ema))
    return LoadedRun(config=run, named=named)


def _opened(picture: Picture) -> Image.Image:
    """Returns a picture as a Pillow image in RGB."""
    if isinstance(picture, str | Path):
        return load_image(Path(picture))
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    if picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        return Image.fromarray(picture)
    shape = "x".join(map(str, picture.shape))
    raise ArrayError(
        f"a picture is {picture.dtype} {shape}; expected RGB bytes, uint8 [height, width, 3]",
        do="give bytes before normalization, or the path of the file",
    )

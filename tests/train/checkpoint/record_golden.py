"""Records the golden checkpoint that every later version must restore.

python -m tests.train.checkpoint.record_golden
It is recorded again only when the format changes, or the config's JSON before the first release.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gauss_vit.experiment import Experiment
from gauss_vit.files import FileSet
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.train import mesh as meshes
from gauss_vit.train.checkpoint.metadata import Progress
from gauss_vit.train.checkpoint.origin import UNKNOWN
from gauss_vit.train.checkpoint.retention import Retention
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import optimizer
from gauss_vit.train.state import TrainState, abstract_model, abstract_state, init_state
from gauss_vit.train.workdir import lock
from gauss_vit.trained_on import TrainedOn
from tests.tiny_config import get_config

STEP = 3
FOLDER = Path(__file__).with_name("golden")
EXPECTED = Path(__file__).with_name("golden.json")
TRAINED_ON = TrainedOn(
    class_names=tuple("0123456789"),
    normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    grids={"backbone.blocks.attention.bias.gaussian.sigma": (2, 3)},
    files={"digits train": FileSet(num_files=1, num_bytes=57523, digest="0123456789abcdef")},
)


def golden_experiment() -> Experiment:
    """Describes the run of the checkpoint."""
    tiny = get_config()
    training = dataclasses.replace(tiny.training, observe_every=4, observe_images=64)
    return dataclasses.replace(
        tiny, training=training, model=dataclasses.replace(tiny.model, width=8, image_size=(16, 24))
    )


def abstract_of(experiment: Experiment) -> TrainState:
    """Shapes and types of the train state on one device."""
    model = abstract_model(experiment.network.make)
    params, num_steps = model.params, experiment.training.num_steps
    transform = optimizer.make(experiment.optimizer, params, num_steps, undecayed=model.undecayed)
    one_device = meshes.make(MeshConfig(data=1), jax.devices())
    return meshes.with_shardings(one_device, abstract_state(params, transform))


def logits_of(experiment: Experiment, params: dict) -> np.ndarray:
    """The network's logits of a fixed image."""
    size = (*experiment.model.image_size, 3)
    image = jnp.asarray(np.linspace(-1, 1, int(np.prod(size)), dtype=np.float32).reshape(1, *size))
    return np.asarray(jax.jit(nnx.merge(abstract(experiment.network)[0], params))(image))


def main() -> None:
    """Writes the checkpoint and the logits of its parameters."""
    experiment = golden_experiment()
    model, num_steps = abstract_model(experiment.network.make), experiment.training.num_steps
    transform = optimizer.make(experiment.optimizer, model.params, num_steps, undecayed=model.undecayed)
    state = init_state(
        experiment.network.make, transform, mesh=meshes.make(MeshConfig(data=1), jax.devices()), seed=experiment.seed
    )
    state = jax.tree.map(lambda leaf: leaf + jnp.asarray(STEP, leaf.dtype) if leaf.ndim == 0 else leaf, state)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    as_json = experiment.to_json()
    lock.write_json(FOLDER / lock.CONFIG, as_json)
    with CheckpointWriter(
        FOLDER, experiment=as_json, trained_on=TRAINED_ON, origin=UNKNOWN, retention=Retention(num_newest=1)
    ) as writer:
        writer.save(state, Progress(step=STEP, batch_digest="golden", interval=(0.5, 3), metrics={"eval/top1": 0.25}))
    for marker in FOLDER.rglob("commit_success.txt"):
        # Its text is the path on the machine that recorded; only its presence counts.
        marker.write_text("committed\n")
    EXPECTED.write_text(json.dumps({"logits": logits_of(experiment, state.params)[0].tolist()}) + "\n")


if __name__ == "__main__":
    main()

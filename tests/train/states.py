"""Small train states, and checkpoints of them."""

from pathlib import Path

import jax
import jax.numpy as jnp

from gauss_vit.files import FileSet
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.evaluator import Best
from gauss_vit.train import mesh as meshes
from gauss_vit.train.checkpoint.metadata import Progress
from gauss_vit.train.checkpoint.origin import Origin, Override
from gauss_vit.train.checkpoint.reader import CHECKPOINTS, STATE
from gauss_vit.train.checkpoint.retention import Retention
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.state import TrainState
from gauss_vit.trained_on import TrainedOn

TRAINED_ON = TrainedOn(
    class_names=("crow", "wren"),
    normalization=Normalization(mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 0.25)),
    grids={"backbone.position_embed": (7, 28)},
    files={"birds train": FileSet(num_files=2, num_bytes=5, digest="0123")},
    palette=((0, 0, 0), (255, 128, 1)),
)

ORIGIN = Origin(
    environment={"packages": {"jax": "0.10.2"}, "revision": "v0.1.0"},
    mesh={"data": 4, "fsdp": 2},
    overrides=(Override(step=2, changes=("optimizer.learning_rate: 0.1 -> 0.01",)),),
)


def state_at(step: int, *, data: int = 1, **axes: int) -> TrainState:
    """Makes a state whose numbers tell its step, on a mesh."""
    generator = jax.random.normal(jax.random.key(step), (64, 16), jnp.float32)
    params = {"kernel": generator, "blocks": {"sigma": jnp.full((2, 1), step, jnp.float32)}}
    state = TrainState(
        step=jnp.asarray(step, jnp.int32),
        params=params,
        opt_state=(jax.tree.map(lambda leaf: leaf * 2, params), (), jnp.asarray(step, jnp.int32)),
    )
    return jax.device_put(state, meshes.tree_shardings(mesh_of(data=data, **axes), state))


def mesh_of(**axes: int) -> jax.sharding.Mesh:
    """Makes a mesh of the simulated devices."""
    return meshes.make(MeshConfig(**axes), jax.devices())


def target(*, data: int = 1, **axes: int) -> TrainState:
    """Makes the abstract state to restore into."""
    return meshes.with_shardings(mesh_of(data=data, **axes), state_at(0))


def progress_at(step: int, **metrics: float) -> Progress:
    """Makes the progress that goes with a state."""
    return Progress(step=step, batch_digest=f"digest-{step}", interval=(0.5, 3), metrics=metrics)


def writer_in(
    workdir: Path, *, num_newest: int = 10, every: int | None = None, best: Best | None = None
) -> CheckpointWriter:
    """Opens a writer."""
    (workdir / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    retention = Retention(num_newest=num_newest, every=every, best=best)
    return CheckpointWriter(workdir, experiment={"seed": 3}, trained_on=TRAINED_ON, origin=ORIGIN, retention=retention)


def save_steps(workdir: Path, *steps: int) -> None:
    """Writes checkpoints."""
    with writer_in(workdir) as writer:
        for step in steps:
            writer.save(state_at(step), progress_at(step))


def flip_byte(path: Path, *, place: int | None = None) -> None:
    """Damages one byte in the middle of a file, or at a place."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 0x10
    path.write_bytes(content)


def data_files(workdir: Path, step: int) -> list[Path]:
    """Lists the files with the arrays of a checkpoint, the largest first."""
    folder = workdir / CHECKPOINTS / str(step) / STATE
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)

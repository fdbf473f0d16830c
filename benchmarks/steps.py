"""Our train step as `gauss_vit.train.loop` runs it, on one batch of noise that stays on the device, or on others."""

import dataclasses
import gc
from collections.abc import Callable, Iterable

import jax
import numpy as np

from benchmarks import timing
from benchmarks.timing import Seconds
from gauss_vit import experiment as experiments
from gauss_vit.assembly.device import model_here
from gauss_vit.batches import Batch, ClassTargets, Mask, MaskTargets, ObjectTargets, no_objects
from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.experiment import Experiment
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh as meshes
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import AdamW, Constant, Optimizer, Schedule
from gauss_vit.train.program import fresh_state, make_program
from gauss_vit.train.step import Outcome

DATA = Data(
    name="noise",
    train_split="none",
    eval_split="none",
    train_transforms=(),
    eval_transform=ResizeCenterCrop(crop_fraction=1.0),
    normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    num_threads=0,
)
TASK = Classification()
_NUM_OBJECTS = 7  # As many as an image of COCO has on average.
OPTIMIZER = Optimizer(rule=AdamW(), learning_rate=1e-4, weight_decay=0.05, schedule=Schedule(curve=Constant()))


def experiment_of(config: BackboneConfig, *, batch_size: int) -> Experiment:
    """An experiment of a model, whose data are never read."""
    rhythm = {"log_every": 100, "checkpoint_every": 100}
    return Experiment(
        model=config,
        task=TASK,
        data=DATA,
        optimizer=OPTIMIZER,
        training=Training(batch_size=batch_size, eval_batch_size=batch_size, num_steps=1000, **rhythm),
        mesh=MeshConfig(),
        seed=0,
    )


def recipe_of(source: str, *, batch_size: int | None, image_size: int | None) -> Experiment:
    """Loads the experiment of a config file, without its weights; with other sizes of batches and images if given."""
    experiment = experiments.load(source)
    model, training = experiment.model, experiment.training
    if image_size is not None:
        model = dataclasses.replace(model, image_size=(image_size, image_size))
    if batch_size is not None:
        training = dataclasses.replace(training, batch_size=batch_size, eval_batch_size=batch_size)
    return dataclasses.replace(experiment, model=model, training=training, start=None)


def noise(experiment: Experiment) -> Batch:
    """A batch of random bytes, with random classes of the images or of their pixels, or random objects."""
    random = np.random.default_rng(0)
    batch_size, image_size = experiment.training.batch_size, experiment.model.image_size
    num_classes = experiment.task.num_classes
    if experiment.data.targets == "masks":
        values = random.integers(0, num_classes, (batch_size, *image_size), np.uint8)
        targets = MaskTargets(mask=Mask(values=values))
    elif experiment.data.targets == "objects":
        targets = _random_objects(random, batch_size, image_size=image_size, num_classes=num_classes)
    else:
        targets = ClassTargets(label=random.integers(0, num_classes, batch_size, np.int32))
    return Batch(
        image=random.integers(0, 256, (batch_size, *image_size, 3), np.uint8),
        is_real=np.ones(batch_size, bool),
        targets=targets,
        # Images with objects are flipped when they are read.
        is_flipped=None if experiment.data.targets == "objects" else np.arange(batch_size) % 2 == 1,
    )


def _random_objects(
    random: np.random.Generator, batch_size: int, *, image_size: tuple[int, int], num_classes: int
) -> ObjectTargets:
    """Objects of a few sizes in whole images, each of which fills its box; the other rows are padding."""
    targets = jax.tree.map(lambda leaf: np.stack([leaf] * batch_size), no_objects())
    size = np.asarray(image_size, np.float32)
    sides = size * random.uniform(0.1, 0.5, (batch_size, _NUM_OBJECTS, 2)).astype(np.float32)
    corners = (size - sides) * random.random((batch_size, _NUM_OBJECTS, 2), np.float32)
    targets.boxes.yxyx[:, :_NUM_OBJECTS] = np.concatenate([corners, corners + sides], axis=-1)
    targets.label[:, :_NUM_OBJECTS] = random.integers(0, num_classes, (batch_size, _NUM_OBJECTS))
    targets.masks[:, :_NUM_OBJECTS] = 255
    targets.size[:] = targets.original_size[:] = image_size
    return targets


def noise_shapes(experiment: Experiment) -> Batch:
    """Shapes of a batch."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), noise(experiment))


class Steps:
    """A train state that moves on."""

    def __init__(self, experiment: Experiment):
        self._program = make_program(experiment)
        self._state = fresh_state(experiment, self._program)
        self.mesh = self._program.mesh
        self.batch = meshes.place_batch(noise(experiment), self.mesh)

    def __call__(self, num_steps: int) -> None:
        """Takes so many steps, and waits for the last."""
        for _ in range(num_steps):
            self._state, outcome = self._program.train_step(self._state, self.batch)
        jax.block_until_ready((self._state, outcome))

    def along(self, batches: Iterable[Batch], *, follow: Callable[[Outcome], object] = lambda outcome: None) -> None:
        """Takes a step for every batch on the devices, and at each waits for the one before it, as the loop does.

        Args:
          batches: Batches on the devices.
          follow: Function that is called with the outcome of every step once it is started.
        """
        before = None
        for batch in batches:
            self._state, outcome = self._program.train_step(self._state, batch)
            follow(outcome)
            jax.block_until_ready(before)
            before = outcome
        jax.block_until_ready((self._state, before))


def time_compilation(experiment: Experiment) -> Seconds:
    """Times tracing and compiling the step from scratch, on shapes alone.

    Garbage is not collected meanwhile, as in `timeit`: one collection takes as long as a hundredth of a compilation,
    and which side it falls to is chance.
    """
    batch = noise_shapes(experiment)

    def run() -> None:
        program = make_program(experiment)
        program.train_step.lower(program.abstract, batch).compile()

    jax.clear_caches()
    gc.collect()
    gc.disable()
    try:
        return timing.timed(run)
    finally:
        gc.enable()


def varied(config: BackboneConfig, *, is_unrolled: bool, depth: int | None = None) -> BackboneConfig:
    """Changes how blocks are compiled: in a loop, or one by one, for the device of this process; and their number."""
    if depth is not None:
        config = dataclasses.replace(config, depth=depth)
    compute = dataclasses.replace(config.compute, unroll=config.depth if is_unrolled else 1)
    return model_here(dataclasses.replace(config, compute=compute))

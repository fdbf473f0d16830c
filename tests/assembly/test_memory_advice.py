"""What fits is measured, and the fewest micro-batches that do are advised."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from gauss_vit.assembly import feeds, memory_advice
from gauss_vit.assembly.memory_advice import Changes, step_bytes, with_advice
from gauss_vit.batches import Batch
from gauss_vit.data import pipeline
from gauss_vit.data.examples import Source
from gauss_vit.data.images.transforms import RandomFlip, Resize
from gauss_vit.distributed import processes
from gauss_vit.errors import OutOfMemoryError
from gauss_vit.experiment import Experiment
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.train import memory
from tests.tasks.spelled_objects import TASK
from tests.tiny_config import get_config
from tests.train.toy import TRAINING, ToyRecipe, batch_of, shared_program

FAILED = OutOfMemoryError("training ran out of memory: no 5 bytes", work="training")
GIB = 2**30


@pytest.fixture(scope="module")
def experiment(data_flag: str) -> Experiment:
    """One with 32 examples on each of 8 devices."""
    shown = get_config()
    data = dataclasses.replace(shown.data, data_dir=data_flag.partition("=")[2])
    return dataclasses.replace(shown, data=data, training=dataclasses.replace(shown.training, batch_size=256))


@pytest.fixture(scope="module")
def source(experiment: Experiment) -> Source:
    return feeds.open_sources(experiment).train


class Costs:
    """A step of 12 GiB of state and 64 GiB of activations, half of them with remat; every question is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, available: float):
        self.asked: list[Changes] = []
        monkeypatch.setattr(memory, "capacity", lambda devices: int(available * GIB))
        monkeypatch.setattr(
            memory_advice._Measured, "_compiled_bytes", lambda measured, changes: self.bytes_with(changes)
        )

    def bytes_with(self, changes: Changes) -> int:
        self.asked.append(changes)
        activations = 64 / int(changes.get("training.accumulate", 1)) / (2 if "model.compute.remat" in changes else 1)
        return int((12 / int(changes.get("mesh.fsdp", 1)) + activations) * GIB)


@pytest.mark.parametrize(
    ("available", "advice"),
    [
        (46.4, "add --config.training.accumulate=2, with which a step needs 44.00 GiB, as compiled"),
        (46.2, "add --config.training.accumulate=4, with which a step needs 28.00 GiB, as compiled"),
        (15.0, "add --config.training.accumulate=32, with which a step needs 14.00 GiB, as compiled"),
        (
            14.0,
            "add --config.training.accumulate=32 --config.model.compute.remat=full, with which a step needs 13.00 GiB,"
            " as compiled",
        ),
        (
            10.0,
            "add --config.training.accumulate=4 --config.model.compute.remat=full --config.mesh.fsdp=8, with which a"
            " step needs 9.50 GiB, as compiled",
        ),
        (
            2.0,
            "use a smaller model or devices with more memory: more micro-batches, remat and fsdp do not suffice",
        ),
        (100.0, "end other programs that use the memory of the device"),
    ],
)
def test_smallest_change_that_fits_is_advised(
    experiment: Experiment, source: Source, monkeypatch: pytest.MonkeyPatch, available: float, advice: str
):
    costs = Costs(monkeypatch, available=available)
    error = with_advice(FAILED, experiment, source)
    assert error.do == advice
    needs = f"a training step needs 76.00 GiB on a device, where JAX has {available:.2f} GiB"
    assert error.message == f"{needs} (training ran out of memory: no 5 bytes)"
    assert (error.code, error.work) == ("DEVICE-OOM", "training")
    assert len(costs.asked) <= 10


def test_no_micro_batches_are_advised_for_batch_normalisation(
    experiment: Experiment, source: Source, monkeypatch: pytest.MonkeyPatch
):
    costs = Costs(monkeypatch, available=46.4)
    task = Segmentation(head=UPerNetHead(num_classes=3, channels=8, auxiliary=None))
    data = dataclasses.replace(experiment.data, name="scene_parse150", targets="masks")
    error = with_advice(FAILED, dataclasses.replace(experiment, task=task, data=data), source)
    assert error.do == "add --config.model.compute.remat=full, with which a step needs 44.00 GiB, as compiled"
    assert not any("training.accumulate" in changes for changes in costs.asked)


def test_micro_batches_of_a_detector_are_said_to_change_its_loss(
    experiment: Experiment, source: Source, monkeypatch: pytest.MonkeyPatch
):
    Costs(monkeypatch, available=46.4)
    data = dataclasses.replace(experiment.data, name="coco", targets="objects")
    evaluators = (Evaluator(measure=CocoMeasure()),)
    detector = dataclasses.replace(experiment, task=TASK, data=data, evaluators=evaluators)
    error = with_advice(FAILED, detector, source)
    assert error.do.startswith("add --config.training.accumulate=2, ")
    assert error.do.endswith("; micro-batches change the loss of a detector")


def test_what_the_compiler_does_not_say_is_not_made_up(
    experiment: Experiment, source: Source, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "capacity", lambda devices: GIB)
    monkeypatch.setattr(memory_advice._Measured, "_compiled_bytes", lambda measured, changes: None)
    error = with_advice(FAILED, experiment, source)
    assert error.message.startswith("a training step needs more than is there on a device, where JAX has 1.00 GiB (")
    assert error.do.startswith("use a smaller model")


def test_nothing_is_compiled_for_other_work_and_with_several_processes(
    experiment: Experiment, source: Source, monkeypatch: pytest.MonkeyPatch
):
    costs = Costs(monkeypatch, available=1.0)
    other = OutOfMemoryError("evaluation ran out of memory", work="evaluation")
    assert with_advice(other, experiment, source) is other
    monkeypatch.setattr(processes, "count", lambda: 2)
    assert with_advice(FAILED, experiment, source) is FAILED
    assert costs.asked == []


def toy(num_parts: int) -> tuple[int | None, Batch]:
    """The bytes of a step of the toy on many images, which are most of it, and the batch."""
    training = dataclasses.replace(TRAINING, batch_size=4096, accumulate=num_parts)
    batch = jax.eval_shape(lambda: jax.tree.map(jax.numpy.asarray, batch_of(0, 4096)))
    return step_bytes(shared_program(ToyRecipe(training=training)), batch), batch


def test_compiled_steps_need_less_with_more_micro_batches():
    (whole, batch), (parts, _) = toy(1), toy(8)
    waiting = 2 * sum(np.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(batch))
    assert whole is not None
    assert parts is not None
    # A float32 image of the toy has 288 bytes.
    assert whole > 4096 * 288 + waiting
    assert parts < whole - 4096 * 288


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. Used 24.50G of"
            " 15.75G hbm. Exceeded hbm capacity by 8.75G.",
            int(24.5 * GIB),
        ),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes.", None),
    ],
)
def test_needs_are_read_from_a_compiler_that_refuses(text: str, expected: int | None):
    class Refusing:
        def lower(self, *arguments: object) -> "Refusing":
            return self

        def compile(self) -> None:
            raise JaxRuntimeError(text)

    program = shared_program(ToyRecipe())
    object_of_jit = Refusing()
    refusing = dataclasses.replace(program, train_step=lambda state, batch: (state, batch))
    vars(refusing)["train_step"] = object_of_jit
    assert step_bytes(refusing, batch_of(0, 8)) == expected


def test_shapes_are_those_of_batches(experiment: Experiment, source: Source):
    transforms = (Resize(), RandomFlip())
    shown = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, train_transforms=transforms))
    batch = next(iter(feeds.feed(shown, feeds.open_sources(shown)).train(0)))
    (shapes,) = pipeline.train_shapes(source, transforms=transforms, image_size=(16, 32), batch_size=256)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), batch
    )

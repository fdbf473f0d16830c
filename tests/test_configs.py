"""Every config file with every argument: it is an experiment, and its training and evaluation steps trace."""

import ast
import dataclasses
import functools
import itertools
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from gauss_vit import experiment as experiments
from gauss_vit.assembly.from_data import completed
from gauss_vit.assembly.preset_images import preparation
from gauss_vit.batches import Batch, ClassTargets, Mask, MaskTargets, no_objects
from gauss_vit.data.buckets import with_square
from gauss_vit.data.examples import Example
from gauss_vit.data.images.preprocess import preprocess
from gauss_vit.experiment import Experiment
from gauss_vit.models.swin import SwinConfig
from gauss_vit.train.program import make_program
from gauss_vit.weights.intervention import check_applies
from tests.data.samples import encode
from tests.position.terms.cases import DEFAULTS

FOLDER = Path(__file__).parent.parent / "configs"
STOCK = ("relative", "relative_mlp")  # Biases of timm's models, which are there without an argument.
OWN_ARGUMENTS = {
    "b16_gauss.py": ("gauss", "none"),
    "coco_folder.py": (None,),
    "digits_gauss.py": (None,),
    "folder_segmentation.py": (None,),
    "photos.py": (None,),
    "tiny_imagenet20.py": ("gauss", "none", *(name for name in DEFAULTS if name not in ("gaussian", *STOCK))),
}
LARGE = ("model=m16", "model=b16", "model=swin")


def arguments_of(path: Path) -> list[str | None]:
    """All arguments that a file takes."""
    if path.name in OWN_ARGUMENTS:
        return list(OWN_ARGUMENTS[path.name])
    choices = runpy.run_path(str(path))["ARGUMENTS"]
    pairs = [[f"{key}={choice}" for choice in words] for key, words in choices.items()]
    return ["", *(",".join(chosen) for chosen in itertools.product(*pairs))]


def file_of(source: str) -> str:
    """The file that a source names, without its arguments."""
    return source.partition(".py")[0]


def in_full(source: str):
    """A case of the full tier."""
    return pytest.param(source, marks=pytest.mark.full)


def sources() -> list[str]:
    """All that `--config` can name."""
    files = sorted(FOLDER.glob("*.py"))
    return [
        str(path) if argument is None else f"{path}:{argument}" for path in files for argument in arguments_of(path)
    ]


SOURCES = sources()
loaded = functools.cache(experiments.load)
# One data set and one size stand for all of a family: classes and widths do not change what is traced.
TRACED = [
    source
    for source in SOURCES
    if not any(size in source for size in LARGE) and ("data=" not in source or "data=pet" in source)
]
# The default tier traces the first arguments of a file, but for files whose model and task another one has too.
ALIKE = ("coco_folder.py", "drawn_shapes.py", "folder_segmentation.py")
TRACED_IN_TIERS = [
    source
    if source == next(each for each in TRACED if file_of(each) == file_of(source))
    and not any(name in source for name in ALIKE)
    else in_full(source)
    for source in TRACED
]


def label(source: str) -> str:
    """Names a case."""
    return source.removeprefix(f"{FOLDER}/")


@pytest.mark.parametrize("source", SOURCES, ids=label)
def test_every_argument_gives_an_experiment_that_json_keeps(source: str):
    shown = loaded(source)
    assert experiments.from_json(shown.to_json()) == shown
    if shown.start is not None:
        check_applies(shown.model, shown.start.intervention)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_every_file_records_how_it_is_run_and_what_came_of_it(path: Path):
    record = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert record is not None
    for word in ("Command:", "Expected:", "Measured:"):
        assert f"\n{word} " in record


def test_segmentation_normalises_pixels_as_its_weights_were_trained():
    for source in (source for source in SOURCES if "ade20k.py" in source):
        shown = loaded(source)
        assert shown.data.normalization == preparation(Path(shown.start.weights).stem).normalization, source


def test_different_arguments_give_different_experiments():
    by_value: dict[Experiment, list[str]] = {}
    for source in SOURCES:
        by_value.setdefault(loaded(source), []).append(source)
    # What an argument leaves out is a default, so that an empty one has a twin; b16 stands in two files.
    twins = [names for names in by_value.values() if len(names) > 1]
    assert all(any(name.endswith(":") or "b16_gauss" in name for name in names) for names in twins)


@pytest.mark.parametrize("source", TRACED_IN_TIERS, ids=label)
def test_training_and_evaluation_steps_trace(source: str):
    shown = _shallow(completed(loaded(source), num_examples=5000, num_classes=10))
    program = make_program(shown)
    state, outcome = jax.eval_shape(program.train_step, program.abstract, _batch(shown, shown.training.batch_size))
    shapes, expected = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (state, program.abstract))
    assert shapes == expected
    assert outcome.loss.shape == ()
    batch = _batch(shown, shown.training.eval_batch_size)
    for eval_step in program.eval_steps.values():
        assert jax.tree.leaves(jax.eval_shape(eval_step, program.abstract.params, batch))


@pytest.mark.parametrize("source", TRACED_IN_TIERS, ids=label)
@pytest.mark.parametrize("size", [(40, 57), (500, 333)])
def test_images_of_any_size_become_those_of_the_model(source: str, size: tuple[int, int]):
    shown = loaded(source)
    pixels = np.random.RandomState(0).randint(0, 256, (*size, 3), np.uint8)
    if shown.data.name in ("digits", "cifar10"):  # All their images have one size already.
        pixels = pixels[: shown.model.image_size[0], : shown.model.image_size[1]]
    if shown.data.targets == "objects":
        _check_fit(shown, Image.fromarray(pixels))
        return
    example = Example(image=encode(pixels), targets=None, name="noise")
    for transforms in (shown.data.train_transforms, (shown.data.eval_transform.at_model_size,)):
        image = preprocess(example, transforms=transforms, image_size=shown.model.image_size, key=5).pixels
        assert image.shape == (*shown.model.image_size, 3)


def _check_fit(shown: Experiment, image: Image.Image):
    """Images with objects are padded to a bucket, or to the size of the model."""
    buckets = with_square(shown.data.buckets) or (shown.model.image_size,)
    for transforms in (shown.data.train_transforms, (shown.data.eval_transform,)):
        found = image
        for transform in transforms:
            found = transform(found, size=shown.model.image_size, key=5)
        assert any(found.height <= height and found.width <= width for height, width in buckets)


def _shallow(shown: Experiment) -> Experiment:
    """Leaves out all blocks but two, or one a stage: more of the same are traced in the same way."""
    model = shown.model
    depth = {"depths": (1,) * len(model.depths)} if isinstance(model, SwinConfig) else {"depth": 2}
    return dataclasses.replace(shown, model=dataclasses.replace(model, **depth))


def _batch(shown: Experiment, size: int) -> Batch:
    pixels = (size, *shown.model.image_size)
    targets = {
        "classes": ClassTargets(label=jax.ShapeDtypeStruct((size,), np.int32)),
        "masks": MaskTargets(mask=Mask(values=jax.ShapeDtypeStruct(pixels, np.uint8))),
        "objects": jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((size, *np.shape(leaf)), np.asarray(leaf).dtype), no_objects()
        ),
    }
    return Batch(
        image=jax.ShapeDtypeStruct((*pixels, 3), np.uint8),
        is_real=jax.ShapeDtypeStruct((size,), np.bool_),
        targets=targets[shown.data.targets],
    )

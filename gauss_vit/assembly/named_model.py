"""The model that a command line names: the newest checkpoint of `--workdir`, or a preset by `--model`, perhaps with
`--gaussian` and with `--weights` from a file."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import jax
from flax import nnx
from jaxtyping import PyTree

from gauss_vit import experiment
from gauss_vit.assembly import foreign_weights
from gauss_vit.assembly.device import experiment_here, model_here
from gauss_vit.assembly.foreign_weights import images_for, with_epsilon
from gauss_vit.assembly.preset_images import IMAGENET, Pretrained, preparation
from gauss_vit.assembly.remote_files import local
from gauss_vit.assembly.restored import restore
from gauss_vit.assembly.selection import NEWEST, Selection, selection
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.config import schema
from gauss_vit.data.config import EvalTransform
from gauss_vit.data.images.header import MAX_PIXELS
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import HeadConfig, NetworkConfig
from gauss_vit.heads.stock import IMAGENET_CLASSES, stock_head
from gauss_vit.models import construct
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.presets import PRESETS, Preset
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.palette import Palette
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.classification import Classification
from gauss_vit.tasks.task import Task
from gauss_vit.train import mesh
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.state import run_key
from gauss_vit.train.workdir.lock import CONFIG
from gauss_vit.waiting import announced
from gauss_vit.weights import pretrained
from gauss_vit.weights.intervention import Intervention, intervene
from gauss_vit.weights.published import Published, published

__all__ = [
    "IMAGENET",
    "NamedModel",
    "at_step",
    "found_weights",
    "import_weights",
    "intervened",
    "named_model",
    "preset_config",
    "restore",
    "run_experiment",
    "trained",
    "trained_as_asked",
]

_DRAWING = ("reinit", "paper_code")
"""Interventions that may draw parameters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model with its name and the preparation of its images.

    Attributes:
      name: name in file names and titles: the preset's, with `_gaussian` if the bias was added, or that of the run's
        folder.
      config: config of the backbone.
      task: what the model is for, with the config of its head.
      params: parameters of the network, a nested dict on one device.
      step: number of updates of the parameters; 0 for a preset, whose parameters are fresh or from a file.
      eval_transform: resizing of an image for evaluation and prediction, on the host; it may keep images whole.
      normalization: normalisation of its bytes, on the device.
      class_names: names of the classes in the order of the head's outputs; empty if they are unknown.
      palette: colours of the classes; empty if they have none.
      max_pixels: images with more pixels are refused by their header.
      buckets: sizes of batches of whole images with objects, as `data.buckets`.
      intervention: change to its position information (`weights.intervention`).
      intervention_seed: seed of what the intervention drew; None if it drew nothing.
    """

    name: str
    config: BackboneConfig
    task: Task
    params: PyTree
    step: int
    eval_transform: EvalTransform
    normalization: Normalization
    class_names: tuple[str, ...] = ()
    palette: Palette = ()
    max_pixels: int = MAX_PIXELS
    buckets: tuple[tuple[int, int], ...] = ()
    intervention: Intervention = "none"
    intervention_seed: int | None = None

    @property
    def transform(self) -> ResizeCenterCrop:
        """Resizing of an image to the model's size, on the host."""
        return self.eval_transform.at_model_size

    @property
    def head(self) -> HeadConfig:
        """Config of the head."""
        return self.task.head

    @property
    def network(self) -> NetworkConfig:
        """Config of the backbone with its head."""
        return NetworkConfig(backbone=self.config, head=self.head)

    @functools.cached_property
    def graph(self) -> nnx.GraphDef:
        """Structure of the network; `flax.nnx.merge(graph, params)` is the network."""
        return construct.abstract(self.network)[0]


def named_model(invocation: Invocation) -> NamedModel:
    """Loads the model that `--workdir`, or `--model`, `--gaussian` and `--weights`, name.

    Raises:
      ConfigError: neither or both are given, or the name is unknown.
      CheckpointError: the workdir has no checkpoint that verifies, or the weights are refused.
    """
    if invocation.is_given("workdir") == invocation.is_given("model"):
        raise ConfigError(f"{invocation.verb} needs either --workdir=W or --model=NAME")
    named = _preset(invocation) if invocation.is_given("model") else trained_as_asked(invocation)
    max_pixels = invocation.options.get("max_pixels")
    return named if max_pixels is None else dataclasses.replace(named, max_pixels=int(max_pixels))


def trained_as_asked(invocation: Invocation) -> NamedModel:
    """Loads the model of `--workdir` with the weights that `--best` and `--ema` choose.

    Raises:
      ConfigError: a flag is for presets, or the folder does not contain a run with such weights.
      CheckpointError: no checkpoint verifies.
    """
    for flag in ("gaussian", "weights"):
        if invocation.options[flag]:
            raise ConfigError(
                f"--{flag} changes a preset, not a trained model", do="leave it out, or give --model=NAME"
            )
    workdir, known = invocation.path("workdir"), known_classes(invocation)
    chosen = selection(invocation, workdir, run_experiment(workdir, known=known))
    return trained(workdir, known=known, chosen=chosen)


def _preset(invocation: Invocation) -> NamedModel:
    """Builds a preset, with parameters from a file or with drawn ones, the same every time.

    Raises:
      ConfigError: a flag is for runs, or there is no such preset.
      CheckpointError: the weights are refused.
    """
    for flag in ("best", "ema"):
        if invocation.switch(flag):
            raise ConfigError(f"--{flag} chooses among the weights of a run", do="leave it out, or give --workdir")
    name, adds_gaussian = invocation.text("model"), invocation.switch("gaussian")
    config, images = model_here(preset_config(name, adds_gaussian=adds_gaussian)), preparation(name)
    head = stock_head(config, images.num_classes or IMAGENET_CLASSES)
    class_names = images.class_names
    if invocation.is_given("weights"):
        with announced("reading the weights"):
            found = found_weights(invocation)
            config, images = with_epsilon(config, found), images_for(found, images)
            if found.num_classes is not None and invocation.text("head") == "file":
                head = stock_head(config, found.num_classes)
            imported = import_weights(invocation, NetworkConfig(backbone=config, head=head), found)
            params, class_names = jax.device_put(imported.params), _class_names(imported, images, head.num_classes)
    else:
        with announced("preparing the parameters"):
            network = NetworkConfig(backbone=config, head=head)
            params = nnx.to_pure_dict(nnx.state(construct.build(network, run_key(0))))
    return NamedModel(
        name=f"{name}_gaussian" if adds_gaussian else name,
        config=config,
        task=Classification(head=head),
        params=params,
        step=0,
        eval_transform=images.transform,
        normalization=images.normalization,
        class_names=class_names,
    )


def _class_names(imported: pretrained.Imported, usual: Pretrained, num_classes: int | None) -> tuple[str, ...]:
    """Names the classes of imported weights: as the files do, otherwise as timm's weights of that name have them."""
    is_usual = not imported.has_fresh_head and num_classes == len(usual.class_names)
    return imported.class_names or (usual.class_names if is_usual else ())


def preset_config(name: str, *, adds_gaussian: bool) -> Preset:
    """Returns a preset by its name, with or without a tag of timm's.

    Raises:
      ConfigError: there is no preset of this name, or no such tag.
    """
    config = PRESETS[preparation(name).model]
    return with_terms(config, Gaussian()) if adds_gaussian else config


def found_weights(invocation: Invocation) -> Published:
    """Finds the weights that `--weights` names, and what is said beside them.

    Raises:
      ConfigError: a flag about them is wrong.
      CheckpointError: there are none, or the file is refused.
    """
    _source_grid(invocation)
    return published(local(invocation.text("weights")))


def import_weights(
    invocation: Invocation, network: NetworkConfig, found: Published, *, class_names: Sequence[str] = ()
) -> pretrained.Imported:
    """Reads the parameters of a network from the weights that were found, as `--head` and `--source_grid` say.

    Args:
      invocation: the command line.
      network: config of the network.
      found: the weights.
      class_names: classes of the network in order; empty if they are unknown.

    Raises:
      ConfigError: a flag is wrong.
      CheckpointError: the file is refused, or does not fit.
    """
    head = invocation.text("head")
    if head not in ("file", "fresh"):
        raise ConfigError(f"--head is file or fresh, got {head!r}")
    return foreign_weights.load(
        found, network, head=head, source_grid=_source_grid(invocation), class_names=class_names
    )


def _source_grid(invocation: Invocation) -> Grid | None:
    return parse_grid(invocation.text("source_grid")) if invocation.is_given("source_grid") else None


def parse_grid(text: str) -> Grid:
    """Reads HEIGHT,WIDTH in patches.

    Raises:
      ConfigError: the text is something else.

    >>> parse_grid("14,20")
    (14, 20)
    """
    sides = text.split(",")
    if len(sides) != 2 or not all(side.strip().isdecimal() and 0 < int(side) < 10_000 for side in sides):
        raise ConfigError(f"expected a grid as HEIGHT,WIDTH in patches and got {text!r}", do="write 14,14, for example")
    return int(sides[0]), int(sides[1])


def known_classes(invocation: Invocation) -> tuple[type, ...]:
    """Lists the classes of the experiment of `--config`, if it is given: a stored config may name those as well."""
    return () if invocation.experiment is None else schema.classes_in(invocation.experiment)


def trained(workdir: Path, *, known: Sequence[type] = (), chosen: Selection = NEWEST) -> NamedModel:
    """Loads a run's model, on one device.

    Args:
      workdir: The folder of the run.
      known: Classes that a user defined, such as position terms, which the run's config may name.
      chosen: Choice among its weights: by default, the parameters of the newest checkpoint that verifies.

    Raises:
      ConfigError: the folder does not contain a run.
      CheckpointError: no checkpoint verifies.
    """
    run = experiment_here(run_experiment(workdir, known=known))
    one_device = mesh.make(mesh.MeshConfig(data=1), jax.local_devices())
    abstract = mesh.with_shardings(one_device, construct.abstract(run.network)[1])
    restored = restore(workdir, abstract, config=run.model, which=chosen.which, step=chosen.step)
    named = at_step(run, restored.step, restored.arrays, name=workdir.absolute().name + chosen.suffix)
    seen = restored.record.trained_on
    return dataclasses.replace(named, class_names=seen.class_names, palette=seen.palette)


def at_step(run: experiment.Experiment, step: int, params: PyTree, *, name: str) -> NamedModel:
    """Returns the model of an experiment at a step.

    Args:
      run: the experiment.
      step: number of updates.
      params: parameters of the network, a nested dict on one device.
      name: name of the model in file names and titles.
    """
    return NamedModel(
        name=name,
        config=run.model,
        task=run.task,
        params=params,
        step=step,
        eval_transform=run.data.eval_transform,
        normalization=run.data.normalization,
        max_pixels=run.data.max_pixels,
        buckets=run.data.buckets,
    )


def intervened(named: NamedModel, name: Intervention, *, seed: int) -> NamedModel:
    """Returns a model with its position information changed, under the name MODEL_INTERVENTION.

    Args:
      named: the model.
      name: the intervention; `none` returns the model itself.
      seed: seed of what is drawn; it is added to the name if it is not 0 and something may be drawn.

    Raises:
      ConfigError: the model has nothing that the intervention could change.
    """
    config, params = intervene(named.config, named.params, name, key=run_key(seed))
    if name == "none":
        return named
    draws = name in _DRAWING
    return dataclasses.replace(
        named,
        name=f"{named.name}_{name}_seed-{seed}" if draws and seed else f"{named.name}_{name}",
        config=config,
        params=params,
        intervention=name,
        intervention_seed=seed if draws else None,
    )


def run_experiment(workdir: Path, *, known: Sequence[type] = ()) -> experiment.Experiment:
    """Reads the experiment that a run has stored.

    Raises:
      ConfigError: the folder does not exist or does not contain a run.
      CheckpointError: a version with another format of checkpoints wrote it.
    """
    path = workdir / CONFIG
    if not path.is_file():
        message = f"{workdir} does not contain a run: it has no {CONFIG}"
        raise ConfigError(message, do="name the folder of a run, or train first")
    reader.check_format(workdir)
    return experiment.read(path, known=known)

"""The model that a command line names: the newest checkpoint of `--workdir`, or a preset by `--model`, perhaps with
`--gaussian`."""

import dataclasses
from pathlib import Path

import jax
from flax import nnx
from jaxtyping import PyTree

from gauss_vit import experiment, schema
from gauss_vit.commands.command import Invocation, warn
from gauss_vit.data.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.models import vit
from gauss_vit.models.presets import PRESETS
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.train import checkpoint, mesh
from gauss_vit.train.normalization import Normalization
from gauss_vit.train.state import run_key
from gauss_vit.train.workdir import CONFIG

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's pixels, for presets: they belong to no data set."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model with what its images must look like.

    Attributes:
      name: for file names and titles: the preset's name, with `_gaussian` where the bias was added, or the name of the
        run's folder.
      config: of the model.
      graph: the model's structure; `flax.nnx.merge(graph, params)` is the model.
      params: its parameters, a nested dict on one device.
      step: how many updates they have seen; 0 for a preset, whose parameters are fresh.
      transform: from an image of any size to one of the model's, on the host.
      normalization: from its bytes to the model's input, on the device.
    """

    name: str
    config: vit.ViTConfig
    graph: nnx.GraphDef
    params: PyTree
    step: int
    transform: ResizeCenterCrop
    normalization: Normalization


def named_model(invocation: Invocation) -> NamedModel:
    """Makes the model that `--workdir`, or `--model` and `--gaussian`, name.

    Raises:
      ConfigError: neither or both are given, or the name is unknown.
      CheckpointError: the workdir has no checkpoint that verifies.
    """
    if invocation.is_given("workdir") == invocation.is_given("model"):
        raise ConfigError(f"{invocation.verb} needs either --workdir=W or --model=NAME")
    if invocation.is_given("model"):
        return preset(invocation.text("model"), adds_gaussian=invocation.switch("gaussian"))
    if invocation.switch("gaussian"):
        raise ConfigError("--gaussian changes a preset, not a trained model", do="leave it out, or give --model=NAME")
    return trained(invocation.path("workdir"))


def preset(name: str, *, adds_gaussian: bool) -> NamedModel:
    """Makes a preset with fresh parameters, the same ones every time.

    Raises:
      ConfigError: there is no preset of this name.
    """
    if name not in PRESETS:
        suggestion = schema.nearest(name, PRESETS)
        remedy = f"try {suggestion}" if suggestion else f"use one of {', '.join(PRESETS)}"
        raise ConfigError(f"unknown model {name!r}", do=remedy)
    config = PRESETS[name]
    if adds_gaussian:
        config = dataclasses.replace(config, gaussian=Gaussian())
    graph, state = nnx.split(vit.build(config, run_key(0)))
    return NamedModel(
        name=f"{name}_gaussian" if adds_gaussian else name,
        config=config,
        graph=graph,
        params=nnx.to_pure_dict(state),
        step=0,
        transform=ResizeCenterCrop(),
        normalization=IMAGENET,
    )


def trained(workdir: Path) -> NamedModel:
    """Makes the model of a run with the parameters of its newest checkpoint that verifies, on one device.

    Raises:
      ConfigError: the folder holds no run.
      CheckpointError: no checkpoint verifies.
    """
    run = run_experiment(workdir)
    graph, abstract = vit.abstract(run.model)
    one_device = mesh.make(mesh.MeshConfig(data=1), jax.devices())
    restored = restore(workdir, mesh.with_shardings(one_device, abstract))
    return NamedModel(
        name=workdir.absolute().name,
        config=run.model,
        graph=graph,
        params=restored.arrays,
        step=restored.step,
        transform=run.data.eval_transform,
        normalization=Normalization(mean=run.data.pixel_mean, std=run.data.pixel_std),
    )


def restore(workdir: Path, abstract: PyTree) -> checkpoint.Restored:
    """Restores the parameters of the newest checkpoint that verifies, and warns of newer ones that do not.

    Args:
      workdir: folder of a run, which may be training.
      abstract: nested dict of shapes, types and shardings.

    Raises:
      CheckpointError: there is none.
    """
    restored = checkpoint.restore_params(workdir, abstract)
    for step, reason in restored.damaged:
        warn(f"checkpoint {step} does not verify: {reason}; using {restored.step} instead")
    return restored


def run_experiment(workdir: Path) -> experiment.Experiment:
    """Reads the experiment that a run has stored.

    Raises:
      ConfigError: the folder is not there or holds no run.
    """
    path = workdir / CONFIG
    if not path.is_file():
        raise ConfigError(f"{workdir} holds no run: there is no {CONFIG} in it", do="correct --workdir, or train first")
    return experiment.read(path)

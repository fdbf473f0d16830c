"""`convert`: a run's weights as a file for stock libraries, or a file's weights as a run of step 0."""

from pathlib import Path

import jax
from jaxtyping import PyTree

from gauss_vit.assembly import feeds
from gauss_vit.assembly.invocation import Invocation, say
from gauss_vit.assembly.named_model import import_weights, preset_config, trained
from gauss_vit.assembly.preset_images import preparation
from gauss_vit.data.config import Data
from gauss_vit.data.images.transforms import RandomFlip, RandomResizedCrop
from gauss_vit.errors import ConfigError
from gauss_vit.experiment import Experiment
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh, moving_average
from gauss_vit.train.checkpoint import reader
from gauss_vit.train.checkpoint.metadata import Progress
from gauss_vit.train.checkpoint.writer import CheckpointWriter
from gauss_vit.train.config import Training
from gauss_vit.train.mesh import MeshConfig
from gauss_vit.train.optim import optimizer
from gauss_vit.train.optim.optimizer import Sgd
from gauss_vit.train.state import TrainState, start
from gauss_vit.train.workdir import lock
from gauss_vit.train.workdir.environment import describe_environment
from gauss_vit.weights.bake import bake
from gauss_vit.weights.name_tables import ModelConfig, rules_named
from gauss_vit.weights.naming import to_theirs
from gauss_vit.weights.pretrained import Imported
from gauss_vit.weights.safetensors_file import write
from gauss_vit.weights.timm_call import timm_call


def run(invocation: Invocation) -> None:
    """Writes `--out`, or fills `--workdir`.

    With `--to` the weights of the run go out; a Gaussian is baked into relative tables first, so that the stock model
    computes the same. With `--weights` a file comes in, for the preset of `--model`, or for `--config`, from which
    `train` then goes on.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has no stock counterpart.
      CheckpointError: no checkpoint verifies, or the file is refused.
      StorageError: the file or the workdir cannot be written.
    """
    if invocation.is_given("to") == invocation.is_given("weights"):
        raise ConfigError("convert needs either --to=timm, to write a file, or --weights=F, to read one")
    if invocation.is_given("to"):
        export(invocation)
    else:
        take_in(invocation)


def export(invocation: Invocation) -> None:
    """Writes the weights of a run under other names."""
    rules, out = rules_named(invocation.text("to")), invocation.path("out")
    named = trained(invocation.path("workdir"))
    config, params = named.config, named.params
    if config.gaussian is not None:
        config, params = bake(config, params)
    tensors = to_theirs(jax.device_get(params), rules(config))
    write(out, tensors)
    baked = ", the Gaussian baked into the tables" if named.config.gaussian is not None else ""
    say(f"{out}: {len(tensors)} tensors of step {named.step}{baked}")
    call = timm_call(config) if invocation.text("to") == "timm" else None
    if call is not None:
        say("from safetensors.torch import load_file")
        say(f"{call}.load_state_dict(load_file({str(out)!r}), strict=True)")


def take_in(invocation: Invocation) -> None:
    """Makes a run of step 0 from a file."""
    folder = invocation.path("workdir")
    if (invocation.experiment is None) != invocation.is_given("model"):
        raise ConfigError("convert needs either --model=NAME or --config=FILE beside --weights")
    if invocation.experiment is None:
        name = invocation.text("model")
        experiment = foreign_experiment(name, preset_config(name, adds_gaussian=invocation.switch("gaussian")))
        digest = ""
    else:
        experiment = invocation.experiment
        digest = feeds.feed(experiment).digest(0)
    imported = import_weights(invocation, experiment.model)
    save(folder, experiment, params=imported.params, digest=digest)
    say(f"{folder}: {summary(imported)}")


def foreign_experiment(name: str, model: ModelConfig) -> Experiment:
    """Describes a preset as a run on ImageNet: as its images were prepared, and with the paper's fine-tuning recipe."""
    images = preparation(name)
    data = Data(
        name="imagenet2012",
        train_split="train",
        eval_split="validation",
        train_transforms=(RandomResizedCrop(), RandomFlip()),
        eval_transform=images.transform,
        pixel_mean=images.normalization.mean,
        pixel_std=images.normalization.std,
        num_threads=4,
    )
    return Experiment(
        model=model,
        task=Classification(),
        data=data,
        optimizer=Sgd(learning_rate=0.01, momentum=0.9, weight_decay=5e-4),
        training=Training(
            batch_size=128, num_steps=10_000, eval_batch_size=128, log_every=100, eval_every=1000, checkpoint_every=1000
        ),
        mesh=MeshConfig(),
        seed=0,
    )


def save(folder: Path, experiment: Experiment, *, params: PyTree, digest: str) -> None:
    """Writes a fresh workdir whose only checkpoint is of step 0.

    Raises:
      ConfigError: the workdir holds a run.
      StorageError: it cannot be written.
    """
    as_json = experiment.to_json()
    with lock.hold(folder) as hold:
        if reader.saved_steps(folder) or (folder / lock.CONFIG).exists():
            raise ConfigError(f"{folder} holds a run already", do="choose a new --workdir")
        hold.announce()
        state = _state(experiment, params)
        lock.write_json(folder / lock.CONFIG, as_json)
        lock.write_json(folder / lock.ENVIRONMENT, describe_environment(jax.devices()))
        with CheckpointWriter(folder, experiment=as_json, num_newest=1, best_metric=None) as writer:
            writer.save(state, Progress(step=0, batch_digest=digest, interval=(), metrics={}))


def summary(imported: Imported) -> str:
    """Says where parameters come from, such as `timm's names, 1 tensor resampled`."""
    parts = [f"weights in the names of {imported.table}"]
    if imported.resampled:
        parts.append(f"{len(imported.resampled)} resampled to this grid")
    if imported.fresh:
        parts.append(f"fresh: {', '.join(imported.fresh)}")
    return "; ".join(parts)


def _state(experiment: Experiment, params: PyTree) -> TrainState:
    """Starts the optimizer on imported parameters, on one device."""
    transform = optimizer.make(experiment.optimizer, params, experiment.training.num_steps)
    device = mesh.replicated(mesh.make(MeshConfig(data=1), jax.devices()))
    return moving_average.begin(start(jax.device_put(params, device), transform), experiment.training.ema_decay)

"""What of a model's computation depends on the device: its platform, and whether cuDNN's attention is right on it."""

import dataclasses
import logging
from collections.abc import Sequence

import jax

from gauss_vit.experiment import Experiment
from gauss_vit.kernels import cudnn
from gauss_vit.kernels.choice import AttentionShape, KernelChoice, Platform, cudnn_obstacle
from gauss_vit.models.backbone import BackboneConfig

_LOGGER = logging.getLogger(__name__)


def experiment_here(experiment: Experiment) -> Experiment:
    """Returns an experiment whose model is computed for the device of this process."""
    return dataclasses.replace(experiment, model=model_here(experiment.model))


def model_here(config: BackboneConfig) -> BackboneConfig:
    """Returns a model that is computed for the device of this process.

    The kernel "auto" becomes "cudnn" where cuDNN can compute the model's attention and agrees with the reference on the
    device; "cudnn" becomes "auto" where it does not, and the log says why.
    """
    compute = dataclasses.replace(config.compute, platform=_platform())
    config = dataclasses.replace(config, compute=compute)
    shapes = [stage.attention.shape() for stage in config.stages() if stage.attention is not None]
    if compute.kernel not in ("auto", "cudnn") or not shapes:
        return config
    kernel = auto_or_cudnn(shapes, compute.kernel, has_bias=config.has_position_bias)
    return dataclasses.replace(config, compute=dataclasses.replace(compute, kernel=kernel))


def auto_or_cudnn(shapes: Sequence[AttentionShape], wanted: KernelChoice, *, has_bias: bool) -> KernelChoice:
    """Compares cuDNN with the reference for every attention that it could compute; one fault rules it out for all.

    Args:
      shapes: at least one.
      wanted: "auto" or "cudnn".
      has_bias: logits get a bias.

    Returns:
      "cudnn" where it is right, otherwise "auto".
    """
    able = [shape for shape in dict.fromkeys(shapes) if not cudnn_obstacle(shape)]
    reason = _fault(able, has_bias=has_bias) if able else cudnn_obstacle(shapes[0])
    if reason and (able or wanted == "cudnn"):
        _LOGGER.info("attention is computed without cuDNN: %s", reason)
    return "auto" if reason else "cudnn"


def _platform() -> Platform:
    """Returns the platform of this process; kernels for TPUs suit whatever is neither a CPU nor a GPU."""
    name = jax.default_backend()
    return name if name in ("cpu", "gpu") else "tpu"


def _fault(shapes: Sequence[AttentionShape], *, has_bias: bool) -> str:
    device = jax.local_devices()[0]
    faults = (
        cudnn.fault(shape.num_patches + shape.prefix_tokens, shape.head_channels, device=device, has_bias=has_bias)
        for shape in shapes
    )
    return next((fault for fault in faults if fault), "")

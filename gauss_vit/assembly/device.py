"""What of a model's computation depends on the device: its platform, and whether cuDNN's attention is right on it."""

import dataclasses
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import jax

from gauss_vit.experiment import Experiment
from gauss_vit.kernels import cudnn
from gauss_vit.kernels.choice import AttentionShape, KernelChoice, Platform, cudnn_obstacle
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.compute import ActivationType

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


def fastest_dtype() -> ActivationType:
    """Returns the type of activations that this process computes with fastest: bfloat16 only where hardware has it."""
    device = jax.local_devices()[0]
    # Only devices of CUDA have the attribute: "8.0" is the first with products in bfloat16.
    capability = str(getattr(device, "compute_capability", ""))
    return dtype_of_hardware(_platform(), gpu_capability=capability, cpu_features=_cpu_features())


def dtype_of_hardware(platform: Platform, *, gpu_capability: str, cpu_features: Collection[str]) -> ActivationType:
    """Returns bfloat16 for TPUs, GPUs from compute capability 8 on, and CPUs with AMX; float32 for all others.

    Without AMX a CPU emulates bfloat16: receptive fields then took 1.4 times as long as in float32.

    >>> dtype_of_hardware("cpu", gpu_capability="", cpu_features={"avx512f", "avx512_bf16"})
    'float32'
    """
    if platform == "cpu":
        return "bfloat16" if "amx_bf16" in cpu_features else "float32"
    is_old_gpu = platform == "gpu" and gpu_capability[:1] in tuple("34567") and gpu_capability[1:2] == "."
    return "float32" if is_old_gpu else "bfloat16"


def _cpu_features() -> frozenset[str]:
    """Returns the features of the processor that Linux lists; none elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


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

"""Accelerators that a program is compiled for without having one: what XLA is told of them, and what to install."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from unittest import mock

import jax
from jax.experimental import topologies

from gauss_vit.errors import ConfigError
from gauss_vit.kernels import cudnn

GPUS: Mapping[str, str] = MappingProxyType(
    {
        "h200": """
            gpu_device_info {
              threads_per_block_limit: 1024
              threads_per_warp: 32
              shared_memory_per_block: 49152
              shared_memory_per_core: 233472
              shared_memory_per_block_optin: 232448
              threads_per_core_limit: 2048
              core_count: 132
              fpus_per_core: 128
              block_dim_limit_x: 2147483647
              block_dim_limit_y: 65535
              block_dim_limit_z: 65535
              memory_bandwidth: 4800000000000
              l2_cache_size: 52428800
              clock_rate_ghz: 1.98
              device_memory_size: 151397597184
              registers_per_core_limit: 65536
              registers_per_block_limit: 65536
              cuda_compute_capability { major: 9 minor: 0 }
            }
            platform_name: "CUDA"
            dnn_version_info { major: 9 minor: 28 patch: 1 }
            device_description_str: "NVIDIA H200"
        """
    }
)
"""What XLA asks of a GPU, as text of its GpuTargetConfigProto.

Source: NVIDIA's data sheet of the H200 and CUDA's table of compute capability 9.0.
"""

_TPU = re.compile(r"v\d+\w*:\d+x\d+(x\d+)?")
_CUDA_PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")


@dataclass(frozen=True, kw_only=True)
class Target:
    """Devices to compile for.

    Attributes:
      name: as on the command line.
      platform: as `jax.default_backend()` names it: "gpu" or "tpu".
      compiler: the package that compiles for them, with its version.
      devices: they compile, and cannot run.
    """

    name: str
    platform: str
    compiler: str
    devices: Sequence[jax.Device]


def target_of(name: str) -> Target:
    """Finds the devices of a name: a GPU of `GPUS`, or a topology of TPUs such as "v5e:2x2".

    Raises:
      ConfigError: nothing has this name, or the plugin that compiles for it is not installed.
    """
    if name in GPUS:
        compiler = _version(_CUDA_PLUGINS, name, "jax's CUDA plugin", "pip install -e '.[cuda]'")
        # The plugin would look for a driver, and jax report that there is none.
        os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
        described = topologies.get_topology_desc(name, "cuda", target_config=GPUS[name], topology="1x1x1")
        return Target(name=name, platform="gpu", compiler=compiler, devices=described.devices)
    if not _TPU.fullmatch(name):
        raise ConfigError(f"--target={name} is not a target", do=f"choose {', '.join(GPUS)} or TPUs such as v5e:2x2")
    compiler = _version(("libtpu",), name, "libtpu", "pip install -e '.[tpu]'")
    # libtpu asks a cloud machine's metadata server what it is part of, and waits long where there is none.
    os.environ.update(TPU_SKIP_MDS_QUERY="1", TPU_WORKER_HOSTNAMES="localhost")
    try:
        devices = topologies.get_topology_desc(name, "tpu").devices
    except jax.errors.JaxRuntimeError as error:
        raise ConfigError(f"--target={name}: libtpu does not know these TPUs: {first_line(error)}") from error
    return Target(name=name, platform="tpu", compiler=compiler, devices=devices)


def _version(packages: Sequence[str], name: str, what: str, command: str) -> str:
    """Names the first of some packages that is installed, with its version."""
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return f"{package} {metadata.version(package)}"
    raise ConfigError(f"--target={name} needs {what}, which is not installed", do=f"run {command}")


def first_line(error: Exception) -> str:
    """What an error says, without what follows."""
    return str(error).strip().partition("\n")[0]


@contextlib.contextmanager
def as_on(target: Target) -> Iterator[None]:
    """Lets this process believe that it runs on a target: programs are made for its devices, by its rule of kernels.

    cuDNN is believed to be right: to compare it with the specification takes the device.
    """
    with (
        mock.patch.object(jax, "devices", lambda: target.devices),
        mock.patch.object(jax, "default_backend", lambda: target.platform),
        mock.patch.object(cudnn, "fault", lambda *_, **__: ""),
    ):
        yield

"""Cores as devices, seen by processes of their own: a process chooses its devices once."""

import os
import subprocess
import sys

import pytest

NUM_CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def num_devices(batch_size: int, *, before: str = "", xla_flags: str = "") -> int:
    """How many devices a new process sees after the call."""
    script = f"""
import jax
from gauss_vit.assembly import cpu_devices
{before}
cpu_devices.as_devices(batch_size={batch_size})
print(jax.device_count())
"""
    unset = {name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"}
    environment = unset | {"XLA_FLAGS": xla_flags, "JAX_PLATFORMS": "cpu"}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.parametrize("batch_size", [1, 8, 400])
def test_every_core_is_a_device_as_long_as_it_has_four_images(batch_size):
    assert num_devices(batch_size) == max(1, min(NUM_CORES, batch_size // 4))


@pytest.mark.parametrize(
    "chosen",
    [
        {"xla_flags": "--xla_force_host_platform_device_count=3"},
        {"before": 'jax.config.update("jax_num_cpu_devices", 3)'},
        {"before": 'jax.config.update("jax_num_cpu_devices", 3); jax.devices()'},
    ],
)
def test_devices_that_were_chosen_stay(chosen):
    assert num_devices(400, **chosen) == 3


def test_devices_that_are_in_use_stay():
    assert num_devices(400, before="jax.devices()") == 1

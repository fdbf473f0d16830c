"""The cores of a CPU as devices of their own, for work that falls apart into images."""

import os
import sys

import jax

_IMAGES_A_CORE = 4


def available() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def as_devices(*, batch_size: int) -> None:
    """Lets JAX see the cores as devices, each for some images of a batch, unless their number was chosen already.

    A core that works on images of its own waits for nobody; the cores of one device share every product and wait at its
    end. With fewer than four images a core the products would become too small to be fast. On a GPU or TPU this changes
    nothing.

    Args:
      batch_size: images in one pass.
    """
    # JAX adds its options to this object at run time.
    is_chosen = jax.config.jax_num_cpu_devices != -1  # pyrefly: ignore[missing-attribute]
    if is_chosen or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", max(1, min(available(), batch_size // _IMAGES_A_CORE)))
    except RuntimeError:
        # The devices are in use: what called this has its own.
        return

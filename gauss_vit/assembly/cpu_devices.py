"""CPU cores as separate JAX devices, for work that is parallel over images."""

import os
import sys

import jax

_IMAGES_A_CORE = 4


def available() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def as_devices(*, batch_size: int) -> None:
    """Makes JAX use CPU cores as devices, each for some images of a batch, unless their number was chosen already.

    Separate devices do not wait for one another, whereas the threads of one device synchronise after every product.
    With fewer than four images a core the products would be too small to be fast. On a GPU or TPU this has no effect.

    Args:
      batch_size: number of images in one pass.
    """
    # JAX adds its options to this object at run time.
    is_chosen = jax.config.jax_num_cpu_devices != -1  # pyrefly: ignore[missing-attribute]
    if is_chosen or "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", max(1, min(available(), batch_size // _IMAGES_A_CORE)))
    except RuntimeError:
        # JAX has been initialised, with the devices of the caller's choice.
        return

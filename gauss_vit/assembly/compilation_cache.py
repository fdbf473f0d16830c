"""Keeping compiled programs, so that the next start of the same program does not compile them again."""

import os
from pathlib import Path

import jax

_SHORTEST_COMPILATION = 1.0


def keep() -> None:
    """Lets JAX keep what takes it more than a second to compile, under the user's cache folder.

    A folder that was chosen before, such as by `JAX_COMPILATION_CACHE_DIR`, stays. JAX names programs by a digest of
    all that they depend on, warns where the folder cannot be written, and goes on without it.
    """
    # JAX adds its options to this object at run time.
    if jax.config.jax_compilation_cache_dir is None:  # pyrefly: ignore[missing-attribute]
        jax.config.update("jax_compilation_cache_dir", str(folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_COMPILATION)


def folder() -> Path:
    """The folder of compiled programs: `gauss_vit/compiled` under `XDG_CACHE_HOME`, else under `~/.cache`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()
    return home / "gauss_vit" / "compiled"

"""The cache of compiled programs on disk, so that the next start does not compile them again."""

import os
from pathlib import Path

import jax

_SHORTEST_COMPILATION = 1.0


def keep() -> None:
    """Turns on JAX's persistent cache, under the user's cache folder, for programs that take a second to compile.

    A folder that was chosen before, such as by `JAX_COMPILATION_CACHE_DIR`, is kept. JAX names programs by a digest of
    everything that they depend on; if the folder cannot be written, it warns and continues without a cache.
    """
    # JAX adds its options to this object at run time.
    if jax.config.jax_compilation_cache_dir is None:  # pyrefly: ignore[missing-attribute]
        jax.config.update("jax_compilation_cache_dir", str(folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_COMPILATION)


def folder() -> Path:
    """Returns the folder of compiled programs: `gauss_vit/compiled` under `XDG_CACHE_HOME`, else under `~/.cache`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()
    return home / "gauss_vit" / "compiled"

"""Vision transformers with a Gaussian attention bias: trained, measured as receptive fields, in JAX and Flax.

`load_run` gives a trained run's model. `gauss_vit.analysis` measures receptive fields of any function,
`gauss_vit.position` has the bias for a model of one's own, and `gauss_vit.models.presets` timm's architectures.
"""

import importlib

# Not from typing: with `python -m gauss_vit.main`, nothing is imported from the current folder (`gauss_vit.main`).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from gauss_vit.inspect.loaded_run import LoadedRun, load_run

__version__ = "0.1.0"
__all__ = ["LoadedRun", "__version__", "load_run"]


def __getattr__(name: str) -> object:
    """Imports what loads runs when it is first asked for, so that importing the package takes no time."""
    if name in ("LoadedRun", "load_run"):
        return vars(importlib.import_module("gauss_vit.inspect.loaded_run"))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The hint that a LayerScale hides a position bias.

With LayerScale a block adds `gain * attention(...)` to its input. Gains that start at 1e-6 leave the features what they
would be without attention, so that receptive fields show nothing of a bias, although the attention depends on it.
"""

import re

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.construct import abstract
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.pretrained import draw

_GAIN = r"backbone\..*\.layer_scale1"
_SMALL_GAIN = 1e-3
"""Mean gain below which attention adds less than a per mille of its output to the features."""


def layer_scale_hint(config: BackboneConfig, params: PyTree) -> str:
    """Says in a line that LayerScale hides the position bias; empty if it does not, or if there is no bias.

    Args:
      config: Config of the backbone.
      params: Parameters of the network, or of those that `initial_gains` returns.
    """
    gains = [np.abs(jax.device_get(leaf)).mean() for path, leaf in flatten_paths(params).items() if _is_gain(path)]
    if not config.has_position_bias or not gains or max(gains) >= _SMALL_GAIN:
        return ""
    return (
        f"LayerScale hides the position bias: gains of {max(gains):.1g} keep what attention adds out of the features, "
        "and receptive fields do not show it until they have grown; model.layer_scale=0.1 shows it from the start"
    )


def initial_gains(network: NetworkConfig) -> PyTree:
    """Draws the gains of LayerScale alone, a dict by path; empty for a network without it."""
    paths = [path for path in flatten_paths(abstract(network)[1]) if _is_gain(path)]
    return dict(draw(network, paths, seed=0))


def _is_gain(path: str) -> bool:
    return re.fullmatch(_GAIN, path) is not None

"""The models of other libraries that compute the same as a network: whether there is one, and how it is made."""

from collections.abc import Callable, Mapping
from functools import partial

from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.export.hugging_face_folder import check_has_counterpart
from gauss_vit.weights.export.stock_mask_rcnn import check_has_mask_rcnn, mmdet_call
from gauss_vit.weights.export.stock_upernet import check_has_upernet, mmseg_call
from gauss_vit.weights.export.timm_call import timm_model

_CHECKS: Mapping[str, Callable[[NetworkConfig], None]] = {
    "hugging_face": check_has_counterpart,
    "mmseg": partial(check_has_upernet, library="mmseg"),
    "mmdet": check_has_mask_rcnn,
}
"""Checks by the name of a library's table of names; weights go to timm even where it has no such model."""


def check_computes_alike(network: NetworkConfig, library: str) -> None:
    """Checks that a model of a library computes the same as a network, apart from position terms that it lacks.

    Raises:
      ConfigError: none does.
    """
    is_timms = library == "timm" and timm_model(network.backbone, network.head) is not None
    if network.backbone.position.rotary is not None and not is_timms:
        raise ConfigError(
            f"no table expresses a rotary embedding, and {library} has no model with this one",
            do="write a program, --to=stablehlo, or keep the run",
        )
    if library in _CHECKS:
        _CHECKS[library](network)


def stock_call(network: NetworkConfig, library: str, normalization: Normalization) -> str:
    """Returns the Python expression that makes a library's model without weights; empty if a file alone has none.

    Args:
      network: Config of the network, without terms that the library lacks.
      library: Name of the library's table of names.
      normalization: Normalisation of the images' bytes.
    """
    if library == "timm":
        model = timm_model(network.backbone, network.head)
        return "" if model is None else model.call
    if library == "mmdet":
        return mmdet_call(network, normalization)
    return mmseg_call(network) if library == "mmseg" else ""

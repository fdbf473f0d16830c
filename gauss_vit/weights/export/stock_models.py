"""The models of other libraries that compute the same as a network: whether there is one, and how it is made."""

from collections.abc import Callable, Mapping
from functools import partial

from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
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
    for what, is_there in _without_table(network.backbone, has_rotary=is_timms).items():
        if is_there:
            raise ConfigError(
                f"no table expresses {what}, and {library} has no model with it",
                do="write a program, --to=stablehlo, or keep the run",
            )
    if library in _CHECKS:
        _CHECKS[library](network)


def _without_table(backbone: BackboneConfig, *, has_rotary: bool) -> dict[str, bool]:
    """Lists what a backbone may have that cannot be baked; a library may have its rotary embedding."""
    refines = isinstance(backbone, ViTConfig | SwinConfig) and backbone.refines_patches
    return {
        "this rotary embedding": backbone.position.rotary is not None and not has_rotary,
        "a Gaussian that every query predicts": backbone.position.query_gaussian is not None,
        "the refinement of patches": refines,
    }


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

"""MMDetection's parameter names for Mask R-CNN on Swin, as its models have them from version 3.0 on.

Boxes are coded as x, y, width and height there, and as y, x, height and width here, so that the outputs of the layers
which predict codes are in another order. The first dense layer reads the bins of a region channel by channel there, and
bin by bin here.
"""

import numpy as np

from gauss_vit.models.swin import SwinConfig
from gauss_vit.weights.names.naming import CHANNELS_LAST, SAME, TRANSPOSED, Rule, Tensor, Transform
from gauss_vit.weights.names.openmmlab_swin_names import swin_rules
from gauss_vit.weights.names.timm_names import dense

_YXHW = np.array([1, 0, 3, 2])
"""Their place of each number of our code. The permutation is its own inverse."""

_CONVOLUTIONS = {
    "neck.lateral_convs.{index}.conv": "head.fpn.laterals.{index}",
    "neck.fpn_convs.{index}.conv": "head.fpn.smoothing.{index}",
    "rpn_head.rpn_conv": "head.rpn.convolution",
    "rpn_head.rpn_cls": "head.rpn.classifier",
    "roi_head.mask_head.convs.{index}.conv": "head.mask.convolutions.{index}",
    "roi_head.mask_head.conv_logits": "head.mask.classifier",
}


def mask_rcnn_rules(config: SwinConfig, *, bins: int) -> tuple[Rule, ...]:
    """Returns the names of a `MaskRCNN` or `FasterRCNN` of `SwinTransformer`, `FPN`, `RPNHead` and `StandardRoIHead`.

    Args:
      config: Config of the backbone.
      bins: Number of bins along each side of a region that the box head reads.
    """
    boxes, masks = "roi_head.bbox_head", "roi_head.mask_head"
    return (
        *swin_rules(config),
        *(rule for theirs, ours in _CONVOLUTIONS.items() for rule in _layer(theirs, ours, CHANNELS_LAST)),
        *_layer("rpn_head.rpn_reg", "head.rpn.regressor", _CODE_CONVOLUTION, bias=_CODE_BIAS),
        *_layer(f"{boxes}.shared_fcs.0", "head.box.fc1", _bins_first(bins)),
        *dense(f"{boxes}.shared_fcs.1", "head.box.fc2"),
        *dense(f"{boxes}.fc_cls", "head.box.classifier"),
        *_layer(f"{boxes}.fc_reg", "head.box.regressor", _CODE_DENSE, bias=_CODE_BIAS),
        *_layer(f"{masks}.upsample", "head.mask.upsampling", _TRANSPOSED_CONVOLUTION),
    )


def _layer(theirs: str, ours: str, kernel: Transform, *, bias: Transform = SAME) -> tuple[Rule, ...]:
    """Returns the names of a layer's kernel and bias."""
    return (
        Rule(theirs=f"{theirs}.weight", ours=f"{ours}.kernel", transform=kernel),
        Rule(theirs=f"{theirs}.bias", ours=f"{ours}.bias", transform=bias),
    )


def _reordered(array: Tensor) -> Tensor:
    """Converts rows of codes, x y w h of each box, to y x h w, or back."""
    return array.reshape(-1, 4, *array.shape[1:])[:, _YXHW].reshape(array.shape)


def _of_codes(transform: Transform) -> Transform:
    """Returns a conversion that also reorders codes."""

    def to_ours(array: Tensor) -> Tensor:
        return transform.to_ours(_reordered(array))

    def to_theirs(array: Tensor) -> Tensor:
        return _reordered(transform.to_theirs(array))

    return Transform(to_ours=to_ours, to_theirs=to_theirs)


def _bins_first(bins: int) -> Transform:
    """Returns the conversion of [outputs, (channel row column)] to our [(row column channel), outputs]."""

    def to_ours(array: Tensor) -> Tensor:
        return np.transpose(array.reshape(len(array), -1, bins, bins), (2, 3, 1, 0)).reshape(-1, len(array))

    def to_theirs(array: Tensor) -> Tensor:
        outputs = array.shape[-1]
        return np.transpose(array.reshape(bins, bins, -1, outputs), (3, 2, 0, 1)).reshape(outputs, -1)

    return Transform(to_ours=to_ours, to_theirs=to_theirs)


def _pixels_first(array: Tensor) -> Tensor:
    return np.transpose(array, (2, 3, 0, 1))


_CODE_CONVOLUTION, _CODE_DENSE, _CODE_BIAS = (_of_codes(each) for each in (CHANNELS_LAST, TRANSPOSED, SAME))

_TRANSPOSED_CONVOLUTION = Transform(to_ours=_pixels_first, to_theirs=_pixels_first)
"""Conversion of a transposed convolution [inputs, outputs, height, width] to our [height, width, inputs, outputs]."""

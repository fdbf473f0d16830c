"""The Mask R-CNN of MMDetection that computes the same as a network on a Swin.

Source: MMDetection 3.3, configs/swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py and what it is made of.
"""

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.ops.detection.anchors import Anchors
from gauss_vit.ops.detection.matching import Matching
from gauss_vit.ops.detection.selection import BOX_STDS, RPN_STDS
from gauss_vit.ops.detection.targets import Sampling
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.export.stock_swin import openmmlab_swin, swin_obstacle


def check_has_mask_rcnn(network: NetworkConfig) -> None:
    """Checks that a Mask R-CNN of MMDetection computes the same as a network, apart from terms that it lacks.

    Raises:
      ConfigError: none does.
    """
    obstacle = swin_obstacle(network.backbone)
    if not isinstance(network.head, MaskRCNNHead):
        obstacle = "it has another head"
    elif not obstacle and vars(network.backbone)["mlp_ratio"] % 1:
        obstacle = "its mlp_ratio is not whole"
    if obstacle:
        raise ConfigError(
            f"no Mask R-CNN of MMDetection computes the same as the model: {obstacle}",
            do="change the model, or exchange weights by workdirs",
        )


def mmdet_call(network: NetworkConfig, normalization: Normalization) -> str:
    """Returns the Python expression that makes MMDetection's model without weights; empty where it has none."""
    backbone, head = network.backbone, network.head
    if not (isinstance(backbone, SwinConfig) and isinstance(head, MaskRCNNHead)):
        return ""
    config = mmdet_mask_rcnn(backbone, head, normalization)
    return f"mmdet.registry.MODELS.build(mmengine.ConfigDict({config!r}))"


def mmdet_mask_rcnn(backbone: SwinConfig, head: MaskRCNNHead, normalization: Normalization) -> dict[str, JsonValue]:
    """Returns the config of MMDetection's `MaskRCNN`, or `FasterRCNN` without masks, which `MODELS.build` takes.

    Args:
      backbone: Config of the backbone.
      head: Config of the head.
      normalization: Normalisation of the images' bytes, which are in the order blue, green, red there.
    """
    widths: list[JsonValue] = [backbone.width * 2**index for index in range(len(backbone.depths))]
    anchors = head.rpn.anchors(tuple(backbone.patch_size[0] * 2**index for index in range(len(widths) + 1)))
    return {
        "type": "FasterRCNN" if head.mask is None else "MaskRCNN",
        "data_preprocessor": _images(normalization, has_masks=head.mask is not None),
        "backbone": openmmlab_swin(backbone),
        "neck": {
            "type": "FPN",
            "in_channels": widths,
            "out_channels": head.channels,
            "num_outs": len(anchors.strides),
        },
        "rpn_head": _rpn_head(head, anchors),
        "roi_head": _roi_head(head, anchors.strides[:-1]),
        "train_cfg": _training(head),
        "test_cfg": _inference(head),
    }


def _images(normalization: Normalization, *, has_masks: bool) -> dict[str, JsonValue]:
    return {
        "type": "DetDataPreprocessor",
        "mean": [255 * mean for mean in normalization.mean],
        "std": [255 * std for std in normalization.std],
        "bgr_to_rgb": True,
        "pad_mask": has_masks,
        "pad_size_divisor": 32,
    }


def _rpn_head(head: MaskRCNNHead, anchors: Anchors) -> dict[str, JsonValue]:
    return {
        "type": "RPNHead",
        "in_channels": head.channels,
        "feat_channels": head.channels,
        "anchor_generator": {
            "type": "AnchorGenerator",
            "scales": [anchors.scale],
            "ratios": list(anchors.ratios),
            "strides": list(anchors.strides),
        },
        "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": list(RPN_STDS)},
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
        "loss_bbox": {"type": "L1Loss"},
    }


def _roi_head(head: MaskRCNNHead, strides: tuple[int, ...]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": _extractor(head, strides, bins=head.box.bins),
        "bbox_head": {
            "type": "Shared2FCBBoxHead",
            "in_channels": head.channels,
            "fc_out_channels": head.box.hidden,
            "roi_feat_size": head.box.bins,
            "num_classes": head.num_classes,
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": list(BOX_STDS)},
            "loss_cls": {"type": "CrossEntropyLoss"},
            "loss_bbox": {"type": "L1Loss"},
        },
    }
    if head.mask is None:
        return found
    return found | {
        "mask_roi_extractor": _extractor(head, strides, bins=head.mask.bins),
        "mask_head": {
            "type": "FCNMaskHead",
            "num_convs": head.mask.num_convolutions,
            "roi_feat_size": head.mask.bins,
            "in_channels": head.channels,
            "conv_out_channels": head.mask.channels,
            "num_classes": head.num_classes,
            "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True},
        },
    }


def _extractor(head: MaskRCNNHead, strides: tuple[int, ...], *, bins: int) -> dict[str, JsonValue]:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": bins, "sampling_ratio": head.samples or 0},
        "out_channels": head.channels,
        "featmap_strides": list(strides),
    }


def _training(head: MaskRCNNHead) -> dict[str, JsonValue]:
    rcnn = _sampling(head.box.sampling, adds_objects=True)
    if head.mask is not None:
        rcnn["mask_size"] = 2 * head.mask.bins
    return {
        "rpn": {**_sampling(head.rpn.sampling, adds_objects=False), "allowed_border": -1},
        "rpn_proposal": _proposals(head, num_before=head.rpn.num_before),
        "rcnn": rcnn,
    }


def _inference(head: MaskRCNNHead) -> dict[str, JsonValue]:
    return {
        "rpn": _proposals(head, num_before=head.rpn.num_before_inference),
        "rcnn": {
            "score_thr": head.box.score_floor,
            "nms": {"type": "nms", "iou_threshold": head.box.overlap},
            "max_per_img": head.box.limit,
            "mask_thr_binary": 0.5,
        },
    }


def _sampling(sampling: Sampling, *, adds_objects: bool) -> dict[str, JsonValue]:
    return {
        "assigner": _assigner(sampling.matching),
        "sampler": {
            "type": "RandomSampler",
            "num": sampling.size,
            "pos_fraction": sampling.largest_share,
            "add_gt_as_proposals": adds_objects,
        },
        "pos_weight": -1,
        "debug": False,
    }


def _assigner(matching: Matching) -> dict[str, JsonValue]:
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": matching.positive,
        "neg_iou_thr": matching.negative,
        "min_pos_iou": matching.positive if matching.low_quality is None else matching.low_quality,
        "match_low_quality": matching.low_quality is not None,
    }


def _proposals(head: MaskRCNNHead, *, num_before: int) -> dict[str, JsonValue]:
    return {
        "nms_pre": num_before,
        "max_per_img": head.rpn.num_proposals,
        "nms": {"type": "nms", "iou_threshold": head.rpn.overlap},
        "min_bbox_size": 0,
    }

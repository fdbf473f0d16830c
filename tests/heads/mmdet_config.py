"""The config of MMDetection for the small Mask R-CNN that is compared; nothing is imported from torch or JAX."""

from tests.heads import mask_rcnn_case as case


def config() -> dict:
    """Returns the config of the model: that of mask-rcnn_swin-*_fpn_ms-crop-3x_coco with other numbers."""
    widths = [case.WIDTH * 2**index for index in range(4)]
    return {
        "type": "MaskRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": case.MEAN,
            "std": case.STD,
            "pad_mask": True,
            "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "SwinTransformer",
            "embed_dims": case.WIDTH,
            "depths": case.DEPTHS,
            "num_heads": case.NUM_HEADS,
            "window_size": case.WINDOW,
            "drop_path_rate": 0.0,
        },
        "neck": {"type": "FPN", "in_channels": widths, "out_channels": case.CHANNELS, "num_outs": 5},
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": case.CHANNELS,
            "feat_channels": case.CHANNELS,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [8],
                "ratios": [0.5, 1.0, 2.0],
                "strides": [4, 8, 16, 32, 64],
            },
            "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [1.0, 1.0, 1.0, 1.0]},
            "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
            "loss_bbox": {"type": "L1Loss"},
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": _extractor(bins=7),
            "bbox_head": {
                "type": "Shared2FCBBoxHead",
                "in_channels": case.CHANNELS,
                "fc_out_channels": case.UNITS,
                "num_classes": case.NUM_CLASSES,
                "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]},
                "loss_cls": {"type": "CrossEntropyLoss"},
                "loss_bbox": {"type": "L1Loss"},
            },
            "mask_roi_extractor": _extractor(bins=14),
            "mask_head": {
                "type": "FCNMaskHead",
                "in_channels": case.CHANNELS,
                "conv_out_channels": case.CHANNELS,
                "num_classes": case.NUM_CLASSES,
                "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True},
            },
        },
        "train_cfg": {
            "rpn": {
                "assigner": _assigner(positive=0.7, negative=0.3, low_quality=0.3),
                "sampler": _sampler("rpn", case.RPN_SAMPLES, case.RPN_SHARE),
                "allowed_border": -1,
                "pos_weight": -1,
                "debug": False,
            },
            "rpn_proposal": _proposals("train"),
            "rcnn": {
                "assigner": _assigner(positive=0.5, negative=0.5, low_quality=0.5),
                "sampler": _sampler("box", case.BOX_SAMPLES, case.BOX_SHARE),
                "mask_size": 28,
                "pos_weight": -1,
                "debug": False,
            },
        },
        "test_cfg": {
            "rpn": _proposals("test"),
            "rcnn": {
                "score_thr": 0.05,
                "nms": {"type": "nms", "iou_threshold": 0.5},
                "max_per_img": case.DETECTIONS,
                "mask_thr_binary": 0.5,
            },
        },
    }


def _extractor(*, bins: int) -> dict:
    return {
        "type": "SingleRoIExtractor",
        "out_channels": case.CHANNELS,
        "featmap_strides": [4, 8, 16, 32],
        "roi_layer": {"type": "RoIAlign", "output_size": bins, "sampling_ratio": 0},
    }


def _assigner(*, positive: float, negative: float, low_quality: float) -> dict:
    return {
        "type": "MaxIoUAssigner",
        "pos_iou_thr": positive,
        "neg_iou_thr": negative,
        "min_pos_iou": low_quality,
        "match_low_quality": True,
        "ignore_iof_thr": -1,
    }


def _sampler(stage: str, number: int, share: float) -> dict:
    return {
        "type": "PrioritySampler",
        "stage": stage,
        "num": number,
        "pos_fraction": share,
        "add_gt_as_proposals": stage == "box",
    }


def _proposals(form: str) -> dict:
    before, after = case.PROPOSALS[form]
    return {
        "nms_pre": before,
        "max_per_img": after,
        "nms": {"type": "nms", "iou_threshold": 0.7},
        "min_bbox_size": 0,
    }

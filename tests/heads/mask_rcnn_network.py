"""The Mask R-CNN of mask_rcnn_case.py as a config of this package."""

from gauss_vit.heads.box_head import BoxHead
from gauss_vit.heads.mask_head import MaskHead
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.rpn import RPNHead
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from tests.heads import mask_rcnn_case as case

NETWORK = NetworkConfig(
    backbone=SwinConfig(
        image_size=case.BATCH_SIZE,
        windows="fixed",
        width=case.WIDTH,
        depths=case.DEPTHS,
        num_heads=case.NUM_HEADS,
        window=(case.WINDOW, case.WINDOW),
        position=Position(terms=(RelativeTable(),)),
        biases="all",
        similarity="product",
        norm="before",
    ),
    head=MaskRCNNHead(
        num_classes=case.NUM_CLASSES,
        channels=case.CHANNELS,
        samples=None,
        rpn=RPNHead(
            num_samples=case.RPN_SAMPLES,
            positive_share=case.RPN_SHARE,
            num_before=case.PROPOSALS["train"][0],
            num_before_inference=case.PROPOSALS["test"][0],
            num_proposals=case.PROPOSALS["train"][1],
        ),
        box=BoxHead(
            hidden=case.UNITS,
            num_samples=case.BOX_SAMPLES,
            positive_share=case.BOX_SHARE,
            limit=case.DETECTIONS,
        ),
        mask=MaskHead(channels=case.CHANNELS),
    ),
)

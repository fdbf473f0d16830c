"""The classifier that a backbone has in timm."""

from gauss_vit.heads.distilled import DistilledHead
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.backbone import BackboneConfig

StockHead = LinearHead | DistilledHead
"""The classifiers of timm and Hugging Face."""

IMAGENET_CLASSES = 1000
"""Number of classes of ImageNet-1K."""


def stock_head(backbone: BackboneConfig, num_classes: int = IMAGENET_CLASSES) -> StockHead:
    """Returns two averaged classifiers for a backbone with a distillation token, and one for any other."""
    if vars(backbone).get("distillation_token", False):
        return DistilledHead(num_classes=num_classes)
    return LinearHead(num_classes=num_classes)

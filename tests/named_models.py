"""Named models with drawn parameters, for tests of whatever looks at a model."""

import pytest

from gauss_vit.assembly import named_model, preset_images
from gauss_vit.assembly.named_model import IMAGENET, NamedModel
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.heads.linear import LinearHead
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.tasks.classification import Classification
from tests.networks import network_params
from tests.tiny_config import MODEL


def named_of(config: BackboneConfig = MODEL, *, name: str = "tiny") -> NamedModel:
    """A model after five updates, with a head of ten classes."""
    return NamedModel(
        name=name,
        config=config,
        task=Classification(head=LinearHead(num_classes=10)),
        params=network_params(config, num_classes=10),
        step=5,
        eval_transform=ResizeCenterCrop(),
        normalization=IMAGENET,
    )


def add_preset(monkeypatch: pytest.MonkeyPatch, name: str, config: BackboneConfig) -> None:
    """Lets `--model` name a config."""
    for module in (named_model, preset_images):
        monkeypatch.setattr(module, "PRESETS", {**module.PRESETS, name: config})

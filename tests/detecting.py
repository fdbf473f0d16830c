"""A detector with drawn parameters as a named model, for tests of verbs."""

import dataclasses

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.tasks.detection import Detection
from tests.heads.detectors import BACKBONE, HEAD, NETWORK, params_of
from tests.named_models import named_of

CLASSES = ("disc", "square, box", "star")
PALETTE = ((200, 40, 40), (40, 40, 200), (40, 160, 40))
TASK = Detection(head=HEAD)


def detecting_model() -> NamedModel:
    """A model that finds eight boxes in any image, none of which it is sure of."""
    return dataclasses.replace(
        named_of(name="finder"),
        config=BACKBONE,
        task=TASK,
        params=params_of(NETWORK),
        class_names=CLASSES,
        palette=PALETTE,
    )

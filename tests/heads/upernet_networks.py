"""The networks of upernet_cases.py as configs of this package, and their recorded values."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gauss_vit.heads.fcn import FCNHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.swin import SwinConfig
from gauss_vit.position.position import Position
from gauss_vit.position.terms.relative import RelativeTable
from tests.heads.upernet_cases import CASES, Case
from tests.models import deterministic

_FILES = {"hugging_face": "upernet_transformers_reference.npz", "mmseg": "upernet_mmseg_reference.npz"}
RECORDED: Mapping[str, Mapping[str, np.ndarray]] = {
    library: dict(np.load(Path(__file__).with_name(name))) for library, name in _FILES.items()
}
"""Recorded values by their names, by the name of the library's table."""


def network_of(case: Case) -> NetworkConfig:
    """The network of a case, without dropout."""
    backbone = SwinConfig(
        image_size=case.size,
        windows="fixed",
        width=case.width,
        depths=case.depths,
        num_heads=case.num_heads,
        window=(case.window, case.window),
        position=Position(terms=(RelativeTable(),)),
        biases="all",
        similarity="product",
        norm="before",
    )
    head = UPerNetHead(
        num_classes=case.num_classes,
        channels=case.channels,
        dropout=0.0,
        auxiliary=FCNHead(channels=case.auxiliary_channels, dropout=0.0),
    )
    return NetworkConfig(backbone=backbone, head=head)


TINY = network_of(CASES["tiny"])


def tensors_of(library: str, name: str) -> dict[str, np.ndarray]:
    """The tensors of the file that a library writes for a case, with the values of the recording."""
    recorded = RECORDED[library]
    pairs = zip(recorded[f"{name}.names"], recorded[f"{name}.shapes"], strict=True)
    shapes = {str(key): tuple(int(size) for size in shape.split("x") if size) for key, shape in pairs}
    return {key: _tensor(key, shape) for key, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith(("num_batches_tracked", "relative_position_index")):
        return np.zeros(shape, np.int64)
    return deterministic.tensor(name, shape)

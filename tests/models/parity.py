"""Compares our models with recorded values of timm's.

python -m tests.models.parity [NAME ...]  prints the relative error of every recorded model; it needs no torch.
"""

import dataclasses
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets import PRESETS
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import timm_rules
from tests.models import deterministic, xcit_cases
from tests.models.deterministic import central_token, sample, sample_error, split_case
from tests.models.swin_cases import CASES

QUANTITIES = ("logits", "features", "gradient")
_FOLDER = Path(__file__).parent
RECORDED: Mapping[str, np.ndarray] = {
    **np.load(_FOLDER / "timm_reference.npz"),
    **np.load(_FOLDER / "timm_swin_reference.npz"),
    **np.load(_FOLDER / "timm_xcit_reference.npz"),
}
NAMES = tuple(dict.fromkeys(key.rsplit(".", 1)[0] for key in RECORDED))


def deterministic_params(network: NetworkConfig) -> dict:
    """The weights of the recording in our tree; their names and shapes follow from our abstract parameters."""
    rules, (_, target) = timm_rules(network), abstract(network)
    tensors = {name: deterministic.tensor(name, each.shape) for name, each in naming.expected(rules, target).items()}
    return naming.from_theirs(tensors, rules, target)


def case_of(name: str) -> tuple[NetworkConfig, tuple[int, int, int, int]]:
    """The network and the shape of the images of a recording."""
    if name in CASES:
        case = CASES[name]
        backbone = dataclasses.replace(PRESETS[case.name], **case.changes)
        head = LinearHead(num_classes=case.num_classes)
        return NetworkConfig(backbone=backbone, head=head), (case.batch, *case.size, 3)
    if name in xcit_cases.CASES:
        case = xcit_cases.CASES[name]
        preset = PRESETS[case.name]
        backbone = dataclasses.replace(preset, image_size=case.size, depth=case.depth or preset.depth)
        return NetworkConfig(backbone=backbone, head=stock_head(backbone)), (case.batch, *case.size, 3)
    name, depth, side = split_case(name)
    preset = PRESETS[name]
    backbone = dataclasses.replace(
        preset, depth=depth or preset.depth, image_size=preset.image_size if side is None else (side, side)
    )
    return NetworkConfig(backbone=backbone, head=stock_head(backbone)), (1, *backbone.image_size, 3)


def compute(name: str) -> dict[str, np.ndarray]:
    """Computes the recorded quantities with our model."""
    network, shape = case_of(name)
    graph, _ = abstract(network)

    def target(images, params):
        model = nnx.merge(graph, params)
        features = model.backbone.features(images)
        row, column = central_token(features.last.shape[1:3])
        mean = jnp.sum(jnp.mean(features.last[:, row, column], axis=-1))
        is_linear = isinstance(network.head, LinearHead)
        return mean, (model.head.linear(features.pooled) if is_linear else model(images), features.last)

    run = jax.jit(jax.value_and_grad(target, has_aux=True))
    (_, (logits, last)), gradient = run(jnp.asarray(deterministic.image(shape)), deterministic_params(network))
    return {key: sample(np.asarray(value)) for key, value in zip(QUANTITIES, (logits, last, gradient), strict=True)}


def relative_errors(name: str) -> dict[str, float]:
    """The L2 distance from timm's values over their norm, by quantity: of the sample, or of the whole's norm."""
    ours = compute(name)
    return {key: sample_error(ours[key], RECORDED[f"{name}.{key}"]) for key in QUANTITIES}


def table(names: Iterable[str]) -> Iterable[str]:
    """Measures models one by one and gives a row each."""
    yield f"{'model':48} {'logits':>9} {'features':>9} {'gradient':>9} {'seconds':>8}"
    for name in names:
        begin = time.monotonic()
        cells = " ".join(f"{error:9.1e}" for error in relative_errors(name).values())
        yield f"{name:48} {cells} {time.monotonic() - begin:8.1f}"


if __name__ == "__main__":
    for row in table(sys.argv[1:] or NAMES):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()

"""Compares our UPerNet with recorded values of transformers' and MMSegmentation's.

python -m tests.heads.upernet_parity [CASE ...]  prints the relative errors of every recorded case; it needs no torch.
"""

import functools
import sys
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from gauss_vit.batches import Batch, Mask, MaskTargets
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.construct import abstract
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.tasks.task import Examples
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import NAME_TABLES
from tests.heads.upernet_cases import AUXILIARY_WEIGHT, CASES, IGNORED
from tests.heads.upernet_networks import RECORDED, network_of, tensors_of
from tests.models.deterministic import sample, sample_error

Mode = Literal["eval", "train"]
LOSSES = {"hugging_face": "loss_valid", "mmseg": "loss_all"}
"""The loss whose gradient was recorded."""


def params_of(library: str, name: str) -> dict:
    """The weights of a recording in our tree."""
    network, tensors = network_of(CASES[name]), tensors_of(library, name)
    rules, target = NAME_TABLES[library](network), abstract(network)[1]
    return naming.from_theirs({key: tensors[key] for key in naming.expected(rules, target)}, rules, target)


def errors(library: str, name: str, mode: Mode) -> dict[str, float]:
    """The L2 distance from the recorded values over their norm, by quantity; in training, of running statistics too."""
    case, params = CASES[name], params_of(library, name)
    network = network_of(case)
    program = _program(network, mode)
    labels = jnp.asarray(case.labels())
    found, statistics = program(jnp.asarray(case.images()), params, labels, LOSSES[library] == "loss_valid")
    wanted = {key.removeprefix(f"{name}.{mode}."): value for key, value in RECORDED[library].items()}
    parts = {key: _relative_error(np.asarray(value), wanted[key]) for key, value in found.items()}
    if mode == "eval":
        return parts
    after = unflatten_paths(flatten_paths(params) | flatten_paths(statistics))
    ours, start = naming.to_theirs(after, NAME_TABLES[library](network)), f"{name}.after."
    return parts | {
        key.removeprefix(f"{name}."): _relative_error(ours[key.removeprefix(start)], value)
        for key, value in RECORDED[library].items()
        if key.startswith(start)
    }


@functools.cache
def _program(network: NetworkConfig, mode: Mode):
    """The compiled function of (images, weights, labels, whether the gradient is of the loss of valid pixels)."""
    graph = abstract(network)[0]
    key = jax.random.key(0) if mode == "train" else None

    def loss(images, params, labels, takes_valid):
        model = nnx.merge(graph, params)
        maps = model.head.pyramid(model.backbone, images, key=key)
        outputs = model.head.decode(model.backbone, images, key=key)
        losses = _losses(outputs, labels)
        found = {f"map{index}": values for index, values in enumerate(maps)}
        found |= {"logits": outputs.logits, "auxiliary": outputs.auxiliary, **losses}
        statistics = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        return jnp.where(takes_valid, losses["loss_valid"], losses["loss_all"]), (found, statistics)

    def run(images, params, labels, takes_valid):
        (_, (found, statistics)), gradient = jax.value_and_grad(loss, has_aux=True)(images, params, labels, takes_valid)
        return found | {"gradient": gradient}, statistics

    return jax.jit(run)


def _losses(outputs, labels):
    """The losses of the task, in both reductions."""
    targets = MaskTargets(mask=Mask(values=labels, fill=IGNORED))
    batch = Batch(image=None, is_real=jnp.ones(len(labels), bool), targets=targets)
    examples = Examples(image=None, targets=targets, batch=batch)
    losses = {}
    for reduction in ("all", "valid"):
        task = Segmentation(auxiliary_weight=AUXILIARY_WEIGHT, reduction=reduction)
        total, weight = task.loss(outputs, examples, key=jax.random.key(0))
        losses[f"loss_{reduction}"] = total / weight
    return losses


def _relative_error(ours: np.ndarray, recorded: np.ndarray) -> float:
    if recorded.ndim == 0:
        return abs(float(ours) / float(recorded) - 1)
    return sample_error(sample(ours), recorded)


def main() -> None:
    """Prints a line for each case."""
    for name in sys.argv[1:] or CASES:
        for library in RECORDED:
            for mode in ("eval", "train"):
                found = errors(library, name, mode)
                running = [found.pop(key) for key in list(found) if key.startswith("after.")]
                found |= {"running": max(running)} if running else {}
                cells = " ".join(f"{key} {error:.1e}" for key, error in found.items())
                sys.stdout.write(f"{name} {library} {mode}: {cells}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()

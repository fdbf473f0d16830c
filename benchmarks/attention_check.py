"""Checks every kernel of attention on this machine: results and gradients beside the reference in float32."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks import rows
from benchmarks.attention_sides import OURS, TERMS, Attend, Case, by_cudnn, inputs_of, ours
from benchmarks.rows import Row
from gauss_vit.assembly.device import auto_or_cudnn
from gauss_vit.kernels import cudnn
from gauss_vit.kernels.choice import choose, cudnn_obstacle
from gauss_vit.ops.grid import num_patches
from gauss_vit.position.term import table

LARGEST_ERRORS = {"float32": 0.002}
"""Relative L2 distances that a kernel may have, where GPUs multiply float32 as TF32; in other types cuDNN's."""

GRADIENTS = ("queries", "keys", "values", "the bias")


def checked(case: Case) -> list[Row]:
    """A row for the result and one for the worst gradient of every kernel; one that fails has none."""
    reference = partial(ours, kernel="reference")
    with jax.default_matmul_precision("highest"):
        expected = results(reference, case, "float32")
    kernel = auto_or_cudnn([case.shape], "auto", has_bias=True)
    sides: dict[str, Attend] = {"reference": reference, **OURS, "chosen": partial(ours, kernel=kernel)}
    if not cudnn_obstacle(case.shape):
        sides["cudnn"] = by_cudnn
    table = []
    for name, side in sides.items():
        what = f"{num_patches(case.grid)} tokens, {name}"
        if name == "chosen":
            what = f"{what} ({choose(case.shape, kernel)})"
        try:
            found = results(side, case, case.dtype)
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            table.append(judged(f"{what} fails: {reason}", float("nan"), case.dtype))
        else:
            table += compared(what, [distance(*pair) for pair in zip(found, expected, strict=True)], case.dtype)
    return table


def results(side: Attend, case: Case, dtype: str) -> tuple[Float[np.ndarray, "..."], ...]:
    """Computes the result and the gradients of queries, keys, values and bias in a type, on what the case's holds."""
    *tokens, params = inputs_of(case)
    query, key, value, cotangent = (part.astype(dtype) for part in tokens)

    @jax.jit
    def mixed(query: Array, key: Array, value: Array, offsets: Array) -> Array:
        return side(query, key, value, offsets=offsets, grid=case.grid)

    result, gradient = jax.vjp(mixed, query, key, value, table(TERMS, params, case.grid))
    return tuple(np.asarray(each.astype(jnp.float32)) for each in (result, *gradient(cotangent)))


def distance(found: Float[np.ndarray, "..."], expected: Float[np.ndarray, "..."]) -> float:
    """Measures how far numbers are from others, as a share of these, in L2; NaN where any is not finite."""
    if not np.isfinite(found).all():
        return float("nan")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def compared(what: str, distances: list[float], dtype: str) -> list[Row]:
    """The row of the result and that of the worst gradient."""
    result, *gradients = distances
    # The one that is not finite is the worst.
    worst = max(range(len(gradients)), key=lambda index: (np.isnan(gradients[index]), gradients[index]))
    return [
        judged(f"{what}: result", result, dtype),
        judged(f"{what}: worst gradient, of {GRADIENTS[worst]}", gradients[worst], dtype),
    ]


def judged(what: str, found: float, dtype: str) -> Row:
    """A row that says whether numbers are finite, and how far they are from the reference."""
    finite = "not finite" if np.isnan(found) else "finite, distance from float32"
    at_most = LARGEST_ERRORS.get(dtype, cudnn.LARGEST_ERROR)
    return Row(what=f"{what}, {finite}", ours=rows.figure([found]), at_most=at_most)

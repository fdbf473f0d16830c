"""A classifier restricted to some of its classes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Shaped

from gauss_vit.errors import ConfigError


def subset_columns(values: Shaped[Array, "batch classes"], indices: tuple[int, ...]) -> Shaped[Array, "batch chosen"]:
    """Selects the columns of the chosen classes, such as their logits, in their order."""
    return values[:, jnp.asarray(indices, jnp.int32)]


def subset_labels(
    label: Int[Array, " batch"], indices: tuple[int, ...], *, num_labels: int, num_classes: int
) -> tuple[Int[Array, " batch"], Bool[Array, " batch"]]:
    """Converts labels to indices among the chosen classes.

    Args:
      label: class indices of the data set.
      indices: chosen classes among those of the model, in rising order.
      num_labels: number of classes of the data set: those chosen, counted from 0, or all of the model's.
      num_classes: number of classes of the model.

    Returns:
      The labels, 0 where an example belongs to none of the chosen classes, and whether it belongs to one.

    Raises:
      ConfigError: the data set has another number of classes.
    """
    if num_labels not in (len(indices), num_classes) or indices[-1] >= num_classes:
        raise ConfigError(
            f"the data set has {num_labels} classes and the model {num_classes}; the subset is {len(indices)} of"
            f" {indices[-1] + 1} or more",
            do="give the data set and the model that the subset is for",
        )
    if num_labels == len(indices):
        return label, jnp.ones(label.shape, bool)
    places = np.full(num_classes, -1, np.int32)
    places[list(indices)] = np.arange(len(indices), dtype=np.int32)
    place = jnp.asarray(places)[label]
    return jax.nn.relu(place), place >= 0

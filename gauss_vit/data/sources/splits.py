"""How a data set is divided: by its own splits, or at random as the paper does.

The paper splits each fine-tuning set 70:15:15 by one shuffle of the whole, in ImageFolder's order, with NumPy's legacy
generator and seed 0. NumPy's policy (NEP 19) freezes that generator's streams, so the split never changes.

Only a folder of images gives the members of the paper's splits. For a TFDS set the same shuffle is applied to its
concatenated splits, which have another order: equal sizes, other members. (TFDS's Oxford-IIIT Pet also has 7,349 images
where the folder has 7,390.) A set that `gauss-vit data prepare` made from a folder of classes keeps the folder's order.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from gauss_vit.data.config import Data
from gauss_vit.data.examples import Source
from gauss_vit.data.sources import slices
from gauss_vit.data.sources.data_sets import open_data_set
from gauss_vit.data.sources.relabelled import without_classes
from gauss_vit.data.sources.subsets import take
from gauss_vit.errors import DataError

SHARES: Mapping[str, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}
SEED = 0


def open_split(data: Data, split: str) -> Source:
    """Opens a split of a run's data set.

    Args:
      data: which set, by which protocol it is divided, and which of its classes are ignored.
      split: its name, or a part of it such as "train[:90%]".

    Raises:
      DataError: the data set or the split is missing, damaged or empty; DATA-LABEL, a class to ignore is not there,
        or a slice of a folder lacks classes.
    """
    source = _open_paper_split(data, split) if data.split_protocol == "paper" else open_data_set(data).open(split)
    return without_classes(source, data.ignored_classes, data_set=data.name)


def known_splits(data: Data) -> tuple[str, ...]:
    """Names the splits that the run's protocol and data set have.

    Raises:
      DataError: the data set is missing or damaged.
    """
    return tuple(SHARES) if data.split_protocol == "paper" else open_data_set(data).split_names()


def paper_indices(num_examples: int) -> dict[str, Int[np.ndarray, " examples"]]:
    """Draws the examples of the paper's three splits, in the order of its shuffle.

    Sizes are int(.7 N), int(.15 N) and int(.15 N); the remainder is in no split.

    Args:
      num_examples: N, the size of the whole set.

    Source: Kim et al., BMVC 2023, supplement B, and the train.py published with it.
    """
    order = np.arange(num_examples)
    np.random.RandomState(SEED).shuffle(order)
    sizes = {split: math.floor(num_examples * share) for split, share in SHARES.items()}
    ends = np.cumsum(list(sizes.values()))
    return {split: order[end - sizes[split] : end] for split, end in zip(sizes, ends, strict=True)}


def _open_paper_split(data: Data, split: str) -> Source:
    """Opens one of the paper's splits of the whole set.

    Raises:
      DataError: the set is missing, already divided into folders, or too small; the split is unknown.
    """
    part = slices.parse(split)
    if part.name not in SHARES:
        message = f"the paper's protocol has no split {part.name}"
        raise DataError(message, do=f"use one of {', '.join(SHARES)}, or a slice", code="DATA-EMPTY")
    whole = open_data_set(data).open_whole()
    indices = paper_indices(len(whole))[part.name]
    kept = part.indices(len(indices))
    return take(whole, indices[kept.start : kept.stop], split=f"paper {split}")

"""How a data set is divided: by its own splits, or at random as the paper does.

The paper splits each fine-tuning set 70:15:15 by one shuffle of the whole, in ImageFolder's order, with NumPy's legacy
generator and seed 0. NumPy's policy (NEP 19) freezes that generator's streams, so the split is the same for ever.

Use a folder of images to have the paper's very split. Over a TFDS set the same shuffle is applied to the concatenation
of its splits, whose order is another: equal sizes, other members. (TFDS's Oxford-IIIT Pet also has 7,349 images where
the folder has 7,390.) A set that `gauss-vit data prepare` made from a folder of classes keeps the folder's order.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, PyTree

from gauss_vit.data.config import FOLDER, Data
from gauss_vit.data.examples import Example, Source
from gauss_vit.data.sources import slices
from gauss_vit.data.sources.folders import WHOLE, open_folder, split_folders
from gauss_vit.data.sources.opening import open_source, split_names
from gauss_vit.errors import DataError

SHARES: Mapping[str, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}
SEED = 0


@dataclass(frozen=True, kw_only=True)
class SubsetSource:
    """Some examples of another source, in an order of their own.

    Attributes:
      source: where the examples are.
      indices: which ones.
      split: what they are called; with `source` it says everything about `indices`.
    """

    source: Source
    indices: Int[np.ndarray, " examples"]
    split: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the whole source."""
        return self.source.class_names

    @property
    def num_classes(self) -> int:
        """How many classes the whole source has."""
        return self.source.num_classes

    @property
    def padding_targets(self) -> PyTree:
        """Those of the whole source."""
        return self.source.padding_targets

    def __len__(self) -> int:
        """How many examples are in the subset."""
        return len(self.indices)

    def __repr__(self) -> str:
        """The whole and what of it."""
        return f"SubsetSource(split={self.split!r}, num_examples={len(self)}, source={self.source!r})"

    def __getitem__(self, index: int) -> Example:
        """Reads one example.

        Raises:
          IndexError: index is not in 0..len-1.
          DataError: as the source does.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in 0..{len(self) - 1}")
        return self.source[int(self.indices[index])]


def open_split(data: Data, split: str) -> Source:
    """Opens a split of a run's data set.

    Args:
      data: which set, and by which protocol it is divided.
      split: its name, or a part of it such as "train[:90%]".

    Raises:
      DataError: the data set or the split is missing, damaged or empty.
    """
    if data.split_protocol == "paper":
        return _open_paper_split(data, split)
    if data.name != FOLDER:
        return open_source(data.data_dir, data.name, split)
    part = slices.parse(split)
    whole = open_folder(Path(data.data_dir), part.name, follow_links=data.follow_links)
    if part.is_whole:
        return whole
    return _subset(whole, np.arange(len(whole))[_as_slice(part, len(whole))], split=split)


def known_splits(data: Data) -> tuple[str, ...]:
    """The splits that the run's protocol and data set have.

    Raises:
      DataError: the data set is missing or damaged.
    """
    if data.split_protocol == "paper":
        return tuple(SHARES)
    if data.name == FOLDER:
        return tuple(split_folders(Path(data.data_dir).expanduser())) or (WHOLE,)
    return split_names(data.data_dir, data.name)


def paper_indices(num_examples: int) -> dict[str, Int[np.ndarray, " examples"]]:
    """The examples of the paper's three splits, in the order that its shuffle leaves them in.

    Sizes are int(.7 N), int(.15 N) and int(.15 N); what is left over is in no split.

    Args:
      num_examples: N, of the whole set.

    Source: Kim et al., BMVC 2023, supplement B, and the train.py published with it.
    """
    order = np.arange(num_examples)
    np.random.RandomState(SEED).shuffle(order)
    sizes = {split: math.floor(num_examples * share) for split, share in SHARES.items()}
    ends = np.cumsum(list(sizes.values()))
    return {split: order[end - sizes[split] : end] for split, end in zip(sizes, ends, strict=True)}


def _open_paper_split(data: Data, split: str) -> SubsetSource:
    """Opens one of the paper's splits of the whole set.

    Raises:
      DataError: the set is missing, already divided into folders, or too small; the split is unknown.
    """
    part = slices.parse(split)
    if part.name not in SHARES:
        message = f"the paper's protocol has no split {part.name}"
        raise DataError(message, do=f"use one of {', '.join(SHARES)}, or a slice", code="DATA-EMPTY")
    whole = _open_whole(data)
    indices = paper_indices(len(whole))[part.name]
    return _subset(whole, indices[_as_slice(part, len(indices))], split=f"paper {split}")


def _open_whole(data: Data) -> Source:
    """Everything that a data set holds, in its own order.

    Raises:
      DataError: it is missing, damaged, or a folder that is already divided.
    """
    if data.name != FOLDER:
        return open_source(data.data_dir, data.name, "+".join(split_names(data.data_dir, data.name)))
    root = Path(data.data_dir).expanduser()
    divided = ", ".join(path.name for path in split_folders(root).values())
    if divided:
        remedy = "set data.split_protocol=official, or put all classes into one folder"
        raise DataError(f"{root} is already divided, into {divided}", do=remedy, code="DATA-EMPTY")
    return open_folder(root, WHOLE, follow_links=data.follow_links)


def _as_slice(part: slices.SplitSlice, num_examples: int) -> slice:
    """The slice of a split's examples."""
    indices = part.indices(num_examples)
    return slice(indices.start, indices.stop)


def _subset(source: Source, indices: Int[np.ndarray, " examples"], *, split: str) -> SubsetSource:
    """A subset that holds something.

    Raises:
      DataError: DATA-EMPTY, it holds nothing.
    """
    if not len(indices):
        raise DataError(f"{source!r}: split {split} is empty", do="widen the slice", code="DATA-EMPTY")
    return SubsetSource(source=source, indices=indices, split=split)

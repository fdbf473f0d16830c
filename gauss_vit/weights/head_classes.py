"""The head of given weights for a model with classes of its own: which rows are taken, found by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gauss_vit.class_names import ClassMatch, listed, match_classes
from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import ClassHeadConfig, HeadConfig, NetworkConfig
from gauss_vit.models.construct import abstract_of
from gauss_vit.tree import flatten_paths

Head = Literal["file", "fresh", "fitting"]


@dataclass(frozen=True, kw_only=True)
class HeadChoice:
    """What becomes of the head of given weights.

    Attributes:
      is_kept: Whether it is taken; otherwise a new one is drawn.
      rows: Rows to take, in the order of the model's classes; None takes all in their order.
      class_names: Classes of the head that is taken; empty if they are unknown.
      remarks: Sentences on what was taken in part, or why nothing was.
    """

    is_kept: bool
    rows: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def choose_head(
    head: Head, *, given: Sequence[str], wanted: Sequence[str], fits: bool, is_there: bool = True
) -> HeadChoice:
    """Decides whether a head is taken: by the names of its classes where they are known, otherwise by its shape.

    Args:
      head: Source of the head, as in `weights.start.Start`.
      given: Classes of the weights, in order; empty if they are unknown.
      wanted: Classes of the model, in order; empty if they are unknown.
      fits: Whether the head has the shape of the model's.
      is_there: Whether the weights have a head of the model's kind.

    Raises:
      CheckpointError: the head of the weights is required, and it is of another kind, lacks classes or has one name
        twice (code CKPT-TREE).
    """
    if not is_there and head == "file":
        raise CheckpointError(
            "the weights have the backbone of the model with a head of another kind, such as a classifier",
            code="CKPT-TREE",
            do="to train a new head, ask for it with --head=fresh (start.head in a config)",
        )
    if head == "fresh" or not is_there:
        return HeadChoice(is_kept=False)
    if not given or not wanted:
        is_kept = head == "file" or fits
        said = "the classes of its head are not known and taken to be the model's in order"
        return HeadChoice(
            is_kept=is_kept,
            class_names=tuple(given) if is_kept else (),
            remarks=(said,) if is_kept and wanted else (),
        )
    match = match_classes(wanted, given)
    if match.is_clear:
        is_whole = match.places == tuple(range(len(given)))
        said = f"{len(wanted)} of the {len(given)} classes of its head are taken, by name"
        return HeadChoice(
            is_kept=True,
            rows=None if is_whole else match.places,
            class_names=tuple(wanted),
            remarks=() if is_whole else (said,),
        )
    if head == "fitting":
        return HeadChoice(is_kept=False, remarks=(f"its head is for other classes: {_difference(match, given)}",))
    raise CheckpointError(
        f"the head of the weights is for other classes than the model: {_difference(match, given)}",
        code="CKPT-TREE",
        do="to train a new head, ask for it with --head=fresh (start.head in a config)",
    )


@dataclass(frozen=True, kw_only=True)
class ClassEntries:
    """The classes on the last axis of a parameter, one after the other.

    Attributes:
      per_class: Number of entries of each class: 1 for logits, 4 for boxes of every class.
      others: Number of entries behind them, such as that of background.
    """

    per_class: int
    others: int

    def count(self, num_classes: int) -> int:
        """Returns the length of the axis for a number of classes."""
        return self.per_class * num_classes + self.others

    def of(self, classes: Sequence[int], *, num_classes: int) -> list[int]:
        """Returns the places of some of the classes on the axis, in their order, and of what is behind all of them.

        >>> ClassEntries(per_class=2, others=1).of([2, 0], num_classes=3)
        [4, 5, 0, 1, 6]
        """
        places = [self.per_class * each + place for each in classes for place in range(self.per_class)]
        return places + list(range(self.per_class * num_classes, self.count(num_classes)))


def class_parameters(network: NetworkConfig) -> Mapping[str, ClassEntries]:
    """Finds the parameters of a network's head whose last axis has the classes: those that one more class makes larger.

    There are none where the config of the head has no number of classes.
    """
    head = network.head
    if not isinstance(head, ClassHeadConfig) or head.num_classes is None:
        return {}

    def lengths(head: HeadConfig) -> dict[str, int]:
        leaves = flatten_paths(abstract_of(lambda key: head.make(network.backbone, key=key))[1])
        return {f"head.{path}": leaf.shape[-1] for path, leaf in leaves.items()}

    own, larger = lengths(head), lengths(replace(head, num_classes=head.num_classes + 1))
    return {
        path: ClassEntries(per_class=larger[path] - length, others=length - (larger[path] - length) * head.num_classes)
        for path, length in own.items()
        if larger[path] != length
    }


def _difference(match: ClassMatch, given: Sequence[str]) -> str:
    """Names the classes of the model that the weights do not have, or have twice."""
    if match.unknown:
        return f"it has {listed(tuple(given))} and not {listed(match.unknown)}"
    return f"several are named {listed(match.ambiguous)}, in another order"

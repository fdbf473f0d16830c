"""Tables of other projects' parameter names: (their name, our path, transform of the array).

One table serves to read and to write weights. Names are templates such as `blocks.{layer}.attn.qkv.weight`: `{layer}`
in their name is an index into our stacked leading axis; every other placeholder occurs in both names. Several of their
tensors may be parts of one of ours, as query, key and value are.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree, Shaped

from gauss_vit.errors import CheckpointError
from gauss_vit.tree import flatten_paths, unflatten_paths

Tensor = Shaped[np.ndarray, "..."]
_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Transform:
    """An exact conversion of an array between the two conventions, in both directions.

    Attributes:
      to_ours: Function from their array to one layer of ours.
      to_theirs: Inverse of `to_ours`.
    """

    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


def _identity(array: Tensor) -> Tensor:
    return array


def _transpose(array: Tensor) -> Tensor:
    return array.T


def _channels_last(array: Tensor) -> Tensor:
    return np.transpose(array, (2, 3, 1, 0))


def _channels_first(array: Tensor) -> Tensor:
    return np.transpose(array, (3, 2, 0, 1))


SAME = Transform(to_ours=_identity, to_theirs=_identity)
TRANSPOSED = Transform(to_ours=_transpose, to_theirs=_transpose)
CHANNELS_LAST = Transform(to_ours=_channels_last, to_theirs=_channels_first)
"""Conversion of a convolution [outputs, inputs, height, width] to our [height, width, inputs, outputs]."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of tensor in both conventions.

    Attributes:
      theirs: Template of their name.
      ours: Template of our path.
      transform: Conversion of the array.
      part: Index and number of the equal parts of our last axis, if their tensor is one of them; every part needs a
        rule.
    """

    theirs: str
    ours: str
    transform: Transform = SAME
    part: tuple[int, int] = (0, 1)

    @property
    def is_stacked(self) -> bool:
        """Whether their tensors of all layers are one array of ours."""
        return "{layer}" in self.theirs


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The place of one of their tensors in our tree.

    Attributes:
      rule: Line of the table.
      path: Path of our parameter.
      layer: Index into its leading axis; None if it has no such axis.
      shape: Shape of our array at this place: one layer, one part.
    """

    rule: Rule
    path: str
    layer: int | None
    shape: tuple[int, ...]


def from_theirs(tensors: Mapping[str, Tensor], rules: Sequence[Rule], target: PyTree) -> PyTree:
    """Converts foreign tensors to our tree.

    Args:
      tensors: Their arrays by name.
      rules: Table of names.
      target: Our tree of arrays or of shapes and dtypes; it determines the tensors that are expected.

    Returns:
      A tree like `target` of NumPy arrays in the dtypes of `tensors`.

    Raises:
      CheckpointError: tensors are missing, unexpected or misshaped; the message names all of them.
    """
    places = _places(rules, target)
    misshaped = []
    found: dict[str, dict[tuple[int | None, int], Tensor]] = {}
    for name in sorted(set(places) & set(tensors)):
        place, given = places[name], np.asarray(tensors[name])
        try:
            array = place.rule.transform.to_ours(given)
        except ValueError:
            array = given
        if array.shape != place.shape:
            misshaped.append(f"{name} gives {array.shape} for {place.path} {place.shape}")
        found.setdefault(place.path, {})[place.layer, place.rule.part[0]] = array
    missing, unexpected = sorted(set(places) - set(tensors)), sorted(set(tensors) - set(places))
    refuse({"missing": missing, "unexpected": unexpected, "misshaped": misshaped})
    return _assemble(found, target)


def to_theirs(params: PyTree, rules: Sequence[Rule]) -> dict[str, Tensor]:
    """Converts our tree to their tensors by name, the inverse of `from_theirs`.

    Raises:
      CheckpointError: a parameter of ours has no name of theirs.
    """
    leaves = flatten_paths(params)
    return {
        name: np.ascontiguousarray(place.rule.transform.to_theirs(_cut(np.asarray(leaves[place.path]), place)))
        for name, place in _places(rules, params).items()
    }


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A tensor of theirs that our tree needs.

    Attributes:
      shape: Shape in their layout.
      path: Path of our parameter that it belongs to.
    """

    shape: tuple[int, ...]
    path: str


def expected(rules: Sequence[Rule], target: PyTree) -> dict[str, Expected]:
    """Lists the tensors of theirs that our tree of arrays or of shapes needs, by name.

    Raises:
      CheckpointError: a parameter of ours has no name of theirs.
    """
    shapes: dict[tuple[Rule, str], tuple[int, ...]] = {}
    wanted = {}
    for name, place in _places(rules, target).items():
        key = (place.rule, place.path)
        if key not in shapes:
            stand_in = np.broadcast_to(np.int8(0), place.shape)
            shapes[key] = place.rule.transform.to_theirs(stand_in).shape
        wanted[name] = Expected(shape=shapes[key], path=place.path)
    return wanted


def shown_name(name: str) -> str:
    r"""Escapes and shortens an untrusted name for a message.

    >>> print(shown_name(chr(27) + "[31m"))
    \x1b[31m
    """
    return ascii(name)[1:-1][:200]


def refuse(problems: Mapping[str, Sequence[str]], *, do: str = "") -> None:
    """Raises one error that names every problem; does nothing if there are none.

    Args:
      problems: Names by kind of problem, such as "missing"; they are shown escaped and shortened.
      do: Remedy.

    Raises:
      CheckpointError: there is a problem (code CKPT-TREE).
    """
    parts = []
    for kind, entries in problems.items():
        if entries:
            shown = ", ".join(shown_name(entry) for entry in entries[:_LISTED])
            rest = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
            parts.append(f"{len(entries)} {kind}: {shown}{rest}")
    if parts:
        raise CheckpointError(f"the weights do not fit the model; {'; '.join(parts)}", code="CKPT-TREE", do=do)


def _cut(leaf: Tensor, place: _Place) -> Tensor:
    """Returns the layer and the part of our array at a place."""
    layer = leaf if place.layer is None else leaf[place.layer]
    index, count = place.rule.part
    return np.split(layer, count, axis=-1)[index] if count > 1 else layer


def _places(rules: Sequence[Rule], target: PyTree) -> dict[str, _Place]:
    """Finds the place of each of their tensors in our tree."""
    places = {}
    unnamed = []
    patterns = [(rule, re.compile(_pattern(rule.ours))) for rule in rules]
    for path, leaf in flatten_paths(target).items():
        matches = [(rule, match) for rule, pattern in patterns if (match := pattern.fullmatch(path))]
        if not matches:
            unnamed.append(path)
        parts = [each for each in matches if each[0].part[1] > 1 and each[0].ours == matches[0][0].ours]
        for rule, match in parts or matches[:1]:
            shape = tuple(leaf.shape[1:] if rule.is_stacked else leaf.shape)
            if rule.part[1] > 1:
                shape = (*shape[:-1], shape[-1] // rule.part[1])
            for layer in range(leaf.shape[0]) if rule.is_stacked else (None,):
                name = rule.theirs.format(layer=layer, **match.groupdict())
                places[name] = _Place(rule=rule, path=path, layer=layer, shape=shape)
    refuse({"without a name in the target format": unnamed})
    return places


def _pattern(template: str) -> str:
    """Converts a template to a regular expression with a group for every placeholder."""
    parts = re.split(r"\{(\w+)\}", template)
    return "".join(f"(?P<{part}>[^.]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))


def _assemble(found: Mapping[str, Mapping[tuple[int | None, int], Tensor]], target: PyTree) -> PyTree:
    """Joins the parts and stacks the layers of every leaf, and rebuilds the tree of the target."""

    def leaf_of(path: str) -> Tensor:
        pieces = found[path]
        num_parts = 1 + max(part for _, part in pieces)
        layers = sorted({layer for layer, _ in pieces if layer is not None})
        joined = [_join([pieces[layer, part] for part in range(num_parts)]) for layer in layers or (None,)]
        return np.stack(joined) if layers else joined[0]

    return unflatten_paths({path: leaf_of(path) for path in flatten_paths(target)})


def _join(parts: Sequence[Tensor]) -> Tensor:
    return np.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

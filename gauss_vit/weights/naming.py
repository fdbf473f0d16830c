"""Other projects' parameter names as tables: (their name, our path, how the array changes on the way).

One table reads weights and writes them: names are templates such as `blocks.{layer}.attn.qkv.weight`. `{layer}` in
their name is an index into our stacked leading axis; every other placeholder stands in both names. Several of their
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
    """How an array changes between the two conventions, both ways exactly.

    Attributes:
      to_ours: their array as ours, one layer of it.
      to_theirs: its inverse.
    """

    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


def _identity(array: Tensor) -> Tensor:
    return array


def _transpose(array: Tensor) -> Tensor:
    return array.T


SAME = Transform(to_ours=_identity, to_theirs=_identity)
TRANSPOSED = Transform(to_ours=_transpose, to_theirs=_transpose)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of tensor in both conventions.

    Attributes:
      theirs: a template of their name.
      ours: a template of our path.
      transform: how the array changes.
      part: which of how many equal parts of our last axis their tensor is; all parts need a rule.
    """

    theirs: str
    ours: str
    transform: Transform = SAME
    part: tuple[int, int] = (0, 1)

    @property
    def is_stacked(self) -> bool:
        """Their tensors of all layers are one array of ours."""
        return "{layer}" in self.theirs


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where one of their tensors goes.

    Attributes:
      rule: the line of the table.
      path: our parameter.
      layer: the index into its leading axis; None where it has no such axis.
      shape: of our array there: one layer, one part.
    """

    rule: Rule
    path: str
    layer: int | None
    shape: tuple[int, ...]


def from_theirs(tensors: Mapping[str, Tensor], rules: Sequence[Rule], target: PyTree) -> PyTree:
    """Brings foreign tensors into our tree.

    Args:
      tensors: their arrays by name.
      rules: the table of names.
      target: our tree of arrays or of shapes and types; it says what must come.

    Returns:
      A tree like `target` of NumPy arrays in the types of `tensors`.

    Raises:
      CheckpointError: every missing, unexpected or misshaped tensor, all at once, by name.
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
    """Brings our tree into their names, the inverse of `from_theirs`.

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
    """One of their tensors as our tree wants it.

    Attributes:
      shape: in their layout.
      path: of our parameter that it belongs to.
    """

    shape: tuple[int, ...]
    path: str


def expected(rules: Sequence[Rule], target: PyTree) -> dict[str, Expected]:
    """Says which tensors of theirs our tree of arrays or of shapes wants, by name.

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
    r"""Makes a name that anybody may have written fit for a message: escaped, and cut.

    >>> print(shown_name(chr(27) + "[31m"))
    \x1b[31m
    """
    return ascii(name)[1:-1][:200]


def refuse(problems: Mapping[str, Sequence[str]], *, do: str = "") -> None:
    """Raises one error that names every problem; does nothing where there is none.

    Args:
      problems: what is wrong by kind, such as "missing": names, shown escaped and cut.
      do: the remedy.

    Raises:
      CheckpointError: code CKPT-TREE.
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
    """Takes the layer and the part of a place out of our array."""
    layer = leaf if place.layer is None else leaf[place.layer]
    index, count = place.rule.part
    return np.split(layer, count, axis=-1)[index] if count > 1 else layer


def _places(rules: Sequence[Rule], target: PyTree) -> dict[str, _Place]:
    """Lists where each of their tensors goes in our tree."""
    places = {}
    unnamed = []
    for path, leaf in flatten_paths(target).items():
        matches = [(rule, match) for rule in rules if (match := re.fullmatch(_pattern(rule.ours), path))]
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
    """Turns a template into a regular expression with a group for every placeholder."""
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

"""Other projects' parameter names as tables: (their name, our path, how the array changes on the way).

One table reads weights and writes them: names are templates such as `blocks.{layer}.attn.qkv.weight`. `{layer}` in
their name is an index into our stacked leading axis; every other placeholder stands in both names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree, Shaped

from gauss_vit.errors import CheckpointError
from gauss_vit.tree import flatten_paths

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
    """

    theirs: str
    ours: str
    transform: Transform = SAME

    @property
    def is_stacked(self) -> bool:
        """Their tensors of all layers are one array of ours."""
        return "{layer}" in self.theirs


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
    wanted = _expected_names(rules, target)
    missing = sorted(set(wanted) - set(tensors))
    unexpected = sorted(set(tensors) - set(wanted))
    found: dict[str, dict[int, Tensor]] = {}
    misshaped = []
    for name in sorted(set(wanted) & set(tensors)):
        rule, path, layer, shape = wanted[name]
        try:
            array = rule.transform.to_ours(np.asarray(tensors[name]))
        except ValueError:
            array = np.asarray(tensors[name])
        if array.shape != shape:
            misshaped.append(f"{name} gives {array.shape} for {path} {shape}")
        found.setdefault(path, {})[layer] = array
    _refuse({"missing": missing, "unexpected": unexpected, "misshaped": misshaped})
    return _assemble(found, target)


def to_theirs(params: PyTree, rules: Sequence[Rule]) -> dict[str, Tensor]:
    """Brings our tree into their names, the inverse of `from_theirs`.

    Raises:
      CheckpointError: a parameter of ours has no name of theirs.
    """
    leaves = flatten_paths(params)
    return {
        name: np.ascontiguousarray(rule.transform.to_theirs(_layer_of(np.asarray(leaves[path]), layer)))
        for name, (rule, path, layer, _) in _expected_names(rules, params).items()
    }


def _layer_of(leaf: Tensor, layer: int) -> Tensor:
    return leaf if layer < 0 else leaf[layer]


def _expected_names(rules: Sequence[Rule], target: PyTree) -> dict[str, tuple[Rule, str, int, tuple[int, ...]]]:
    """Lists their names for our tree: the rule, our path, the layer (-1 for none) and our shape of one layer."""
    names = {}
    unnamed = []
    for path, leaf in flatten_paths(target).items():
        matches = [(rule, match) for rule in rules if (match := re.fullmatch(_pattern(rule.ours), path))]
        if not matches:
            unnamed.append(path)
            continue
        rule, match = matches[0]
        layers = range(leaf.shape[0]) if rule.is_stacked else (-1,)
        for layer in layers:
            name = rule.theirs.format(layer=layer, **match.groupdict())
            names[name] = (rule, path, layer, tuple(leaf.shape[1:] if rule.is_stacked else leaf.shape))
    _refuse({"without a name in the target format": unnamed})
    return names


def _pattern(template: str) -> str:
    """Turns a template into a regular expression with a group for every placeholder."""
    parts = re.split(r"\{(\w+)\}", template)
    return "".join(f"(?P<{part}>[^.]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))


def _assemble(found: Mapping[str, Mapping[int, Tensor]], target: PyTree) -> PyTree:
    """Stacks the layers of every leaf and rebuilds the tree of the target."""

    def leaf_of(path: str) -> Tensor:
        layers = found[path]
        return layers[-1] if -1 in layers else np.stack([layers[index] for index in range(len(layers))])

    tree: dict[str, PyTree] = {}
    for path in flatten_paths(target):
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf_of(path)
    return tree


def _refuse(problems: Mapping[str, Sequence[str]]) -> None:
    """Raises one error that names every problem.

    Names come from files that anybody may have written: they are shown escaped and cut.
    """
    parts = []
    for kind, entries in problems.items():
        if entries:
            shown = ", ".join(ascii(entry)[1:-1][:200] for entry in entries[:_LISTED])
            rest = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
            parts.append(f"{len(entries)} {kind}: {shown}{rest}")
    if parts:
        raise CheckpointError(f"the weights do not fit the model; {'; '.join(parts)}", code="CKPT-TREE")

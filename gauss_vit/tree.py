"""Path rules over parameter trees: the one mechanism for weight decay, learning-rate scale, freezing and sharding.

A path joins the keys from the root to a leaf with dots: `blocks.attention.bias.gaussian.sigma`. A rule is a pair of a
regular expression and a value; the first expression that matches the whole path decides.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import jax
from jaxtyping import PyTree

from gauss_vit.errors import ConfigError

Value = TypeVar("Value")


def path_of(key_path: Sequence[jax.tree_util.KeyEntry]) -> str:
    """Joins a key path of `jax.tree_util` with dots.

    >>> path_of((jax.tree_util.DictKey("blocks"), jax.tree_util.DictKey("kernel")))
    'blocks.kernel'
    """
    return jax.tree_util.keystr(tuple(key_path), simple=True, separator=".")


def flatten_paths(tree: PyTree) -> dict[str, PyTree]:
    """Maps the path of every leaf to the leaf, in tree order.

    >>> flatten_paths({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {path_of(key_path): leaf for key_path, leaf in leaves}


def unflatten_paths(leaves: Mapping[str, PyTree]) -> PyTree:
    """Rebuilds a nested dict; the inverse of `flatten_paths` for trees of dicts alone.

    >>> unflatten_paths({"a.b": 1, "c": 2})
    {'a': {'b': 1}, 'c': 2}
    """
    tree: dict[str, PyTree] = {}
    for path, leaf in leaves.items():
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return tree


def subtree(leaves: Mapping[str, PyTree], path: str) -> PyTree:
    """Rebuilds the nested dict below a path; empty where there is nothing.

    >>> subtree({"a.b.c": 1, "a.d": 2}, "a.b")
    {'c': 1}
    """
    start = f"{path}."
    return unflatten_paths({name.removeprefix(start): leaf for name, leaf in leaves.items() if name.startswith(start)})


def replaced(tree: PyTree, changes: PyTree) -> PyTree:
    """Replaces the leaves of a nested dict that another one, of some of its keys, has as well.

    >>> replaced({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 5}})
    {'a': {'b': 1, 'c': 5}, 'd': 3}
    """
    if not isinstance(changes, Mapping):
        return changes
    return {key: replaced(tree[key], changes[key]) if key in changes else tree[key] for key in tree}


def match_rules(tree: PyTree, rules: Sequence[tuple[str, Value]], default: Value) -> PyTree:
    """Maps every leaf to the value of the first rule that matches its whole path.

    Args:
      tree: any pytree; only its structure and paths are read.
      rules: pairs of (regular expression, value), in order of precedence.
      default: the value of leaves that no rule matches.

    Returns:
      A tree of the same structure with a value at every leaf.

    Raises:
      ConfigError: a rule matches no path, so that a typing error does not go unnoticed.

    >>> match_rules({"head": {"bias": 0, "kernel": 1}}, [(r".*bias", False)], True)
    {'head': {'bias': False, 'kernel': True}}
    """
    paths = list(flatten_paths(tree))
    for pattern, _ in rules:
        if not any(re.fullmatch(pattern, path) for path in paths):
            raise ConfigError(
                f"the rule {pattern!r} matches no parameter", do=f"compare it with paths such as {paths[0]!r}"
            )

    return jax.tree_util.tree_map_with_path(lambda keys, _: first_match(path_of(keys), rules, default), tree)


def first_match(path: str, rules: Sequence[tuple[str, Value]], default: Value) -> Value:
    """Returns the value of the first rule that matches a whole path; some rules may be for other trees.

    >>> first_match("head.bias", [(r".*kernel", 1), (r".*bias", 2)], 0)
    2
    """
    return next((value for pattern, value in rules if re.fullmatch(pattern, path)), default)

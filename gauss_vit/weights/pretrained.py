"""Foreign weights into a model: found out, checked as a whole, resampled where asked for, or not loaded at all."""

import contextlib
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, PyTree

from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models import construct
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.construct import abstract
from gauss_vit.ops.grid import Grid
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import starts_fresh
from gauss_vit.weights.name_tables import NAME_TABLES
from gauss_vit.weights.naming import Expected, Rule, Tensor, expected, from_theirs, refuse, shown_name
from gauss_vit.weights.resample_positions import Regrid, is_position, regrid_of
from gauss_vit.weights.safetensors_file import Entry, WeightFile, open_weights

Head = Literal["file", "fresh", "fitting"]

HEAD = r"head\..*"
# Buffers that other programs store beside their weights; they follow from the config.
_BUFFERS = r".*\.(relative_position_index|relative_coords_table|attn_mask)"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A model's parameters from a file.

    Attributes:
      params: nested dict of float32 NumPy arrays, complete.
      table: whose names the file has: a key of `NAME_TABLES`.
      resampled: the file's tensors that came from another grid.
      fresh: our parameters that did not come from the file.
    """

    params: PyTree
    table: str
    resampled: tuple[str, ...]
    fresh: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What will be read, made from a file's header alone.

    Attributes:
      table: whose names the file has.
      rules: that table for the config.
      target: our tree of shapes, without what is fresh.
      wanted: what the target wants, by their name.
      regrids: how those among them change whose grid is another.
    """

    table: str
    rules: tuple[Rule, ...]
    target: PyTree
    wanted: Mapping[str, Expected]
    regrids: Mapping[str, Regrid]


def load_weights(
    path: Path, network: NetworkConfig, *, head: Head = "file", source_grid: Grid | None = None, seed: int = 0
) -> Imported:
    """Reads a network's weights from a safetensors file in timm's or Hugging Face's names.

    Absolute embeddings and relative tables that were made on another grid are resampled as timm does. The Gaussian has
    no place in such files, nor have terms that a user defines: they start fresh.

    Args:
      path: the file.
      network: Config of the network.
      head: "file" takes the head from the file; "fresh" starts a new one, whatever the file has; "fitting" takes that
        of the file where it has as many classes as the model, and else starts a new one.
      source_grid: the (height, width) in patches, of a window for Swin, on which the file's positions were made.
        Without it a position of the model's own size is taken as it is, and any other as made on a square.
      seed: of what starts fresh.

    Raises:
      CheckpointError: the file is refused (code IMPORT), or does not fit the model (CKPT-TREE): everything that does
        not fit is named at once, and nothing is loaded.
    """
    file = open_weights(path)
    leaves = flatten_paths(abstract(network)[1])
    plan = _plan(file, network.backbone, leaves, head=head, source_grid=source_grid)
    tensors = file.read(list(plan.wanted))
    for name, array in tensors.items():
        tensors[name] = array.astype(np.float32)
    refuse({"with numbers that are not finite": [name for name in tensors if not np.isfinite(tensors[name]).all()]})
    for name, regrid in plan.regrids.items():
        tensors[name] = regrid(tensors[name])
    loaded = flatten_paths(from_theirs(tensors, plan.rules, plan.target))
    fresh = tuple(path for path in leaves if path not in loaded)
    complete = loaded | draw(network, fresh, seed=seed)
    params = unflatten_paths({path: complete[path] for path in leaves})
    return Imported(params=params, table=plan.table, resampled=tuple(plan.regrids), fresh=fresh)


def draw(network: NetworkConfig, paths: Sequence[str], *, seed: int) -> dict[str, Tensor]:
    """Draws some of a network's parameters; the compiler leaves the others out."""
    if not paths:
        return {}

    def some(key: Array) -> dict[str, Array]:
        leaves = flatten_paths(construct.draw(network.make, key))
        return {path: leaves[path] for path in paths}

    return jax.tree.map(np.asarray, jax.jit(some)(jax.random.key(seed)))


def _plan(
    file: WeightFile,
    config: BackboneConfig,
    leaves: Mapping[str, jax.ShapeDtypeStruct],
    *,
    head: Head,
    source_grid: Grid | None,
) -> _Plan:
    """Compares a file's header with the model, whose parameters' shapes are `leaves`.

    Raises:
      CheckpointError: the file's names are of no table, or anything in it does not fit.
    """
    known = {path: leaf for path, leaf in leaves.items() if not starts_fresh(path, config)}
    table = _table_of(file, config, unflatten_paths(known))
    rules = NAME_TABLES[table](config)
    nameable = expected(rules, unflatten_paths(known))
    keeps_head = head == "file" or (head == "fitting" and _has_head(file, nameable))
    taken = {path: leaf for path, leaf in known.items() if keeps_head or not re.fullmatch(HEAD, path)}
    wanted = {name: each for name, each in nameable.items() if each.path in taken}
    entries = {
        name: entry
        for name, entry in file.entries.items()
        if name in wanted or not (name in nameable or re.fullmatch(_BUFFERS, name))
    }
    regrids = {
        name: regrid
        for name, each in wanted.items()
        if name in entries and (regrid := regrid_of(each, entries[name].shape, config, source_grid=source_grid))
    }
    _check(entries, wanted, config, exempt=set(regrids))
    return _Plan(table=table, rules=rules, target=unflatten_paths(taken), wanted=wanted, regrids=regrids)


def _has_head(file: WeightFile, nameable: Mapping[str, Expected]) -> bool:
    """Says whether the file has a head of the model's shape."""
    heads = {name: each.shape for name, each in nameable.items() if re.fullmatch(HEAD, each.path)}
    return all(name in file.entries and file.entries[name].shape == shape for name, shape in heads.items())


def _table_of(file: WeightFile, config: BackboneConfig, target: PyTree) -> str:
    """Finds out whose names a file has: the table that knows most of them.

    Raises:
      CheckpointError: no table knows any.
    """
    counts: dict[str, int] = {}
    for table, rules in NAME_TABLES.items():
        with contextlib.suppress(CheckpointError):  # the table has no names for such a model
            counts[table] = len(set(expected(rules(config), target)) & set(file.entries))
    best = max(counts, key=lambda table: counts[table], default=None)
    if best is None or counts[best] == 0:
        names = ", ".join(shown_name(name) for name in sorted(file.entries)[:3]) or "none"
        raise CheckpointError(
            f"{shown_name(str(file.path))} has names of neither {' nor '.join(NAME_TABLES)} for this model: {names}",
            code="CKPT-TREE",
            do="choose the --model that the file was made for",
        )
    return best


def _check(
    entries: Mapping[str, Entry], wanted: Mapping[str, Expected], config: BackboneConfig, *, exempt: Set[str]
) -> None:
    """Refuses a file with everything that is wrong with it.

    Args:
      entries: the tensors of the file that count.
      wanted: those of the model.
      config: Config of the backbone.
      exempt: names whose shape may differ.

    Raises:
      CheckpointError: code CKPT-TREE.
    """
    shared = sorted(set(entries) & set(wanted))
    misshaped = [name for name in shared if name not in exempt and entries[name].shape != wanted[name].shape]
    refuse(
        {
            "missing": sorted(set(wanted) - set(entries)),
            "unexpected": sorted(set(entries) - set(wanted)),
            "misshaped": [
                f"{name} is {entries[name].shape} in the file and {wanted[name].shape} in the model"
                for name in misshaped
            ],
            "not of a floating type": [name for name in shared if not entries[name].is_float],
        },
        do=_remedy(
            [wanted[name].path for name in misshaped] + [wanted[name].path for name in wanted if name not in entries],
            config,
        ),
    )


def _remedy(paths: Sequence[str], config: BackboneConfig) -> str:
    """Says what helps against parameters that are missing or misshaped, where something does."""
    if paths and all(re.fullmatch(HEAD, path) for path in paths):
        return "to train a new head on other classes, ask for it with --head=fresh"
    if any(is_position(path, config) for path in paths):
        return "if the positions were made on a grid that is no square, name it with --source_grid=HEIGHT,WIDTH"
    return "choose the --model that the file was made for"

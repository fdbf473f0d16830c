"""Loads foreign weights: detects their naming, checks them as a whole, and resamples positions of another grid."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, PyTree

from gauss_vit.compilation import jit_once
from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models import construct
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.construct import abstract
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.palette import Palette
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import starts_fresh
from gauss_vit.weights.detection import Detected, detect
from gauss_vit.weights.file_metadata import class_names_of, grids_of_file, normalization_of, palette_of
from gauss_vit.weights.fitting_presets import other_model
from gauss_vit.weights.head_classes import ClassEntries, Head, choose_head, class_parameters
from gauss_vit.weights.names.naming import Expected, Tensor, from_theirs, refuse, shown_name
from gauss_vit.weights.position_plan import plan_positions
from gauss_vit.weights.resample_positions import Regrid, is_position
from gauss_vit.weights.safetensors_file import BUFFERS, Entry, WeightFile, open_weights

HEAD = r"head\..*"
_MOST_LISTED = 4


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Parameters of a model from a file or another run.

    Attributes:
      params: All parameters, a nested dict of float32 NumPy arrays.
      table: Naming of the file: a key of `NAME_TABLES`, or "gauss_vit" for a run of this program.
      resampled: Names of the file's tensors that were resampled from another grid.
      fresh: Paths of our parameters that did not come from the file.
      class_names: Names of the classes in the order of the head's outputs; empty if they are unknown, and for a fresh
        head.
      prefix: Prefix that was taken off every name in the file; empty if there was none.
      ignored: Names in the file of tensors that the model does not use.
      normalization: Mean and standard deviation of the pixels that the weights were trained with; None if they are
        unknown.
      head_classes: Names by which the head may be compared with data: those of a file of ours or of a run. The labels
        of other files are often words where data sets have identifiers.
      palette: Colours of those classes; empty if they are unknown.
      remarks: Sentences on what was assumed or taken in part.
    """

    params: PyTree
    table: str
    resampled: tuple[str, ...]
    fresh: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    normalization: Normalization | None = None
    head_classes: tuple[str, ...] = ()
    palette: Palette = ()
    remarks: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Says what was left off or out, or assumed, one line each; nothing for a file that was taken as it is."""
        shown = ", ".join(shown_name(name) for name in self.ignored)
        return (
            *((f"the prefix {shown_name(self.prefix)} is taken off every name",) if self.prefix else ()),
            *((f"not used by this model and ignored: {shown}",) if self.ignored else ()),
            *self.remarks,
        )

    @property
    def has_fresh_head(self) -> bool:
        """Whether the head is newly drawn."""
        return any(re.fullmatch(HEAD, path) for path in self.fresh)

    @property
    def fresh_parts(self) -> tuple[str, ...]:
        """Newly drawn arrays by path, but a head of many as one."""
        head = [path for path in self.fresh if re.fullmatch(HEAD, path)]
        if len(head) <= _MOST_LISTED:
            return self.fresh
        return (f"the head ({len(head)} arrays)", *(path for path in self.fresh if path not in head))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What will be read from a file, planned from its header alone.

    Attributes:
      detected: The file in the names of a table.
      target: Our tree of shapes, without newly drawn parameters.
      wanted: Tensors that the target needs, by their name.
      regrids: Changes of grid of those that were made on another, by their name.
      rows: Rows to take of tensors of the head, in this order, by their name; all of those that are not listed.
      class_names: Classes of the head that is taken, if they are known.
      remarks: Sentences on what was assumed or taken in part.
    """

    detected: Detected
    target: PyTree
    wanted: Mapping[str, Expected]
    regrids: Mapping[str, Regrid]
    rows: Mapping[str, tuple[int, ...]]
    class_names: tuple[str, ...]
    remarks: tuple[str, ...]


def load_weights(
    path: Path,
    network: NetworkConfig,
    *,
    head: Head = "file",
    source_grid: Grid | None = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> Imported:
    """Reads a network's weights from a safetensors file in timm's or Hugging Face's names.

    Absolute embeddings and relative tables that were made on another grid are resampled as timm does. Such files hold
    neither the Gaussian nor terms that a user defines: their parameters are newly drawn.

    Args:
      path: Path of the file.
      network: Config of the network.
      head: Source of the head: "file" takes it from the file; "fresh" draws a new one in any case; "fitting" takes that
        of the file if it has the classes of the model, and otherwise draws a new one.
      source_grid: The (height, width) in patches, of a window for Swin, on which the file's positions were made. None
        takes the grids that a file of ours names, and square ones for other files, as timm does.
      class_names: Classes of the model in order. Where the file names its own, the rows of its head are found by name;
        otherwise its head must have as many classes as the model.
      seed: Seed of newly drawn parameters.

    Raises:
      CheckpointError: the file is refused (code IMPORT) or does not fit the model (code CKPT-TREE); the message names
        everything that does not fit, or the presets that the file fits instead.
    """
    file = open_weights(path)
    leaves = flatten_paths(abstract(network)[1])
    try:
        plan = _plan(file, network, leaves, head=head, source_grid=source_grid, class_names=tuple(class_names))
    except CheckpointError as error:
        raise (other_model(file, network.backbone) or error) from error
    detected = plan.detected
    loaded = flatten_paths(from_theirs(_read(plan), detected.rules, plan.target))
    fresh = tuple(path for path in leaves if path not in loaded)
    complete = loaded | draw(network, fresh, seed=seed)
    params = unflatten_paths({path: complete[path] for path in leaves})
    return Imported(
        params=params,
        table=detected.table,
        resampled=tuple(plan.regrids),
        fresh=fresh,
        prefix=detected.prefix,
        ignored=detected.ignored,
        class_names=plan.class_names,
        head_classes=plan.class_names,
        palette=palette_of(file.metadata, plan.class_names),
        normalization=normalization_of(file.metadata),
        remarks=plan.remarks,
    )


def _read(plan: _Plan) -> dict[str, Tensor]:
    """Reads the tensors of a plan in float32, on the model's grids and for the model's classes.

    Raises:
      CheckpointError: some of their numbers are not finite.
    """
    tensors = {name: array.astype(np.float32) for name, array in plan.detected.file.read(list(plan.wanted)).items()}
    refuse({"with numbers that are not finite": [name for name in tensors if not np.isfinite(tensors[name]).all()]})
    tensors |= {name: tensors[name][list(rows)] for name, rows in plan.rows.items()}
    return tensors | {name: regrid(tensors[name]) for name, regrid in plan.regrids.items()}


def draw(network: NetworkConfig, paths: Sequence[str], *, seed: int) -> dict[str, Tensor]:
    """Draws some of a network's parameters, by path; the compiler removes the others."""
    if not paths:
        return {}

    def some(key: Array) -> dict[str, Array]:
        leaves = flatten_paths(construct.draw(network.make, key))
        return {path: leaves[path] for path in paths}

    return jax.tree.map(np.asarray, jit_once(some)(jax.random.key(seed)))


def _plan(
    file: WeightFile,
    network: NetworkConfig,
    leaves: Mapping[str, jax.ShapeDtypeStruct],
    *,
    head: Head,
    source_grid: Grid | None,
    class_names: tuple[str, ...],
) -> _Plan:
    """Compares a file's header with the network, whose parameters' shapes are `leaves`.

    Raises:
      CheckpointError: no table knows the file's names, or something in it does not fit.
    """
    config, detected = network.backbone, detect(file, network)
    file, nameable = detected.file, detected.wanted
    given = class_names_of(file.metadata) if detected.has_head else ()
    fits = detected.has_head and _has_head(file, nameable)
    choice = choose_head(head, given=given, wanted=class_names, fits=fits, is_there=detected.has_head)
    known = {path: leaf for path, leaf in leaves.items() if not starts_fresh(path, config)}
    taken = {path: leaf for path, leaf in known.items() if choice.is_kept or not re.fullmatch(HEAD, path)}
    wanted = {name: each for name, each in nameable.items() if each.path in taken}
    entries = {
        name: entry
        for name, entry in file.entries.items()
        if name in wanted or not (name in nameable or re.fullmatch(BUFFERS, name))
    }
    shapes = {name: entry.shape for name, entry in entries.items()}
    positions = plan_positions(shapes, wanted, config, stated=grids_of_file(file.metadata), source_grid=source_grid)
    by_class = class_parameters(network) if given else {}
    heads = {name: by_class[each.path] for name, each in wanted.items() if each.path in by_class}
    rows = {} if choice.rows is None else _rows(heads, choice.rows, num_classes=len(given))
    _check_head({name: shapes[name] for name in heads if name in shapes}, heads, num_classes=len(given))
    cut = {name for name in rows if name in shapes and shapes[name][1:] == wanted[name].shape[1:]}
    _check(entries, wanted, config, exempt={*positions.regrids, *cut}, unknown=positions.unknown)
    return _Plan(
        detected=detected,
        target=unflatten_paths(taken),
        wanted=wanted,
        regrids=positions.regrids,
        rows=rows,
        class_names=choice.class_names,
        remarks=(*positions.remarks, *choice.remarks),
    )


def _rows(heads: Mapping[str, ClassEntries], classes: Sequence[int], *, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Returns the rows of some classes in the tensors of a head, by name."""
    return {name: tuple(entries.of(classes, num_classes=num_classes)) for name, entries in heads.items()}


def _check_head(shapes: Mapping[str, tuple[int, ...]], heads: Mapping[str, ClassEntries], *, num_classes: int) -> None:
    """Checks that the tensors of a head have as many rows as the classes need that the file names, if it names any.

    Raises:
      CheckpointError: one has another number (code CKPT-TREE).
    """
    rows = {name: shape[0] for name, shape in shapes.items()} if num_classes else {}
    others = [f"{name} has {count}" for name, count in rows.items() if count != heads[name].count(num_classes)]
    refuse({f"with other numbers of classes than the {num_classes} that the file states": others})


def _has_head(file: WeightFile, nameable: Mapping[str, Expected]) -> bool:
    """Returns whether the file has a head of the model's shape."""
    heads = {name: each.shape for name, each in nameable.items() if re.fullmatch(HEAD, each.path)}
    return all(name in file.entries and file.entries[name].shape == shape for name, shape in heads.items())


def _check(
    entries: Mapping[str, Entry],
    wanted: Mapping[str, Expected],
    config: BackboneConfig,
    *,
    exempt: Set[str],
    unknown: Sequence[str],
) -> None:
    """Checks names, shapes and dtypes of a file against the model.

    Args:
      entries: Tensors of the file that matter.
      wanted: Tensors that the model needs.
      config: Config of the backbone.
      exempt: Names whose shape may differ.
      unknown: Sentences on positions of an unknown grid.

    Raises:
      CheckpointError: something does not fit (code CKPT-TREE); the message names everything that does not.
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
            "of an unknown grid": list(unknown),
            "not of a floating type": [name for name in shared if not entries[name].is_float],
        },
        do=_remedy(
            [wanted[name].path for name in misshaped] + [wanted[name].path for name in wanted if name not in entries],
            config,
            has_unknown_grid=bool(unknown),
        ),
    )


def _remedy(paths: Sequence[str], config: BackboneConfig, *, has_unknown_grid: bool) -> str:
    """Returns the remedy for missing or misshaped parameters."""
    if paths and all(re.fullmatch(HEAD, path) for path in paths):
        return "to train a new head on other classes, ask for it with --head=fresh"
    if has_unknown_grid or any(is_position(path, config) for path in paths):
        return (
            "if the positions were made on a grid that is not square, name it with --source_grid=HEIGHT,WIDTH"
            " (start.source_grid in a config)"
        )
    return "choose the --model that the file was made for"

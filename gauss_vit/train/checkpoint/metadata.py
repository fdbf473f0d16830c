"""The record of a checkpoint, stored beside its arrays: a JSON object with its own checksum.

It holds the experiment, a fingerprint of every array, a digest of the next batch, what the parameters were trained on
and what wrote them, so that a restore can prove that bits, config and data are those of the run that was saved.
"""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from gauss_vit import trained_on
from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import CheckpointError
from gauss_vit.train.checkpoint import origin
from gauss_vit.train.checkpoint.fingerprint import fingerprints
from gauss_vit.train.checkpoint.origin import Origin
from gauss_vit.trained_on import TrainedOn
from gauss_vit.tree import flatten_paths

FORMAT = 2
"""Version of the record and of the parameter paths: since 2 they are `backbone.*` and `head.*`.

Records of this format without `trained_on` or `origin` are read as well; what these say is unknown.
"""
_SHOWN = 20


class DamagedError(Exception):
    """A file of a checkpoint is missing, short or altered; another checkpoint may be whole."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
    """One array of a checkpoint.

    Attributes:
      shape: sizes of the axes.
      dtype: name of the type, such as "float32".
      fingerprint: 32 bits that depend on every bit of the array and on nothing else.
    """

    shape: tuple[int, ...]
    dtype: str
    fingerprint: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a run, besides its arrays.

    Attributes:
      step: number of updates made.
      batch_digest: digest of the examples of the next batch.
      interval: sums of the metric since the last progress line, as the leaves of its tree.
      metrics: finite values of the evaluations at this step, by EVALUATOR/METRIC; empty if there was none.
    """

    step: int
    batch_digest: str
    interval: tuple[JsonValue, ...]
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """The description of a checkpoint.

    Attributes:
      progress: progress of the run.
      experiment: config of the run as JSON.
      trained_on: classes, pixel statistics, grids and data of the run.
      origin: versions, revision, devices and overrides of the run.
      leaves: description of every array of the train state, by path.
    """

    progress: Progress
    experiment: Mapping[str, JsonValue]
    trained_on: TrainedOn
    origin: Origin
    leaves: Mapping[str, Leaf]


def describe(state: PyTree) -> dict[str, Leaf]:
    """Describes every array of a tree, by path."""
    words = fingerprints(state)
    return {
        path: Leaf(shape=tuple(leaf.shape), dtype=str(leaf.dtype), fingerprint=words[path])
        for path, leaf in flatten_paths(state).items()
    }


def to_json(record: Record) -> dict[str, JsonValue]:
    """Converts a record to a JSON object with its own checksum."""
    content = {"format": FORMAT, **dataclasses.asdict(record)}
    canonical = json.loads(json.dumps(content))
    return {"content": canonical, "crc32": _checksum(canonical)}


def from_json(text: str) -> Record:
    """Reads a record.

    Raises:
      DamagedError: the text is not what was written.
      CheckpointError: it was written by another format.
    """
    try:
        sealed = json.loads(text)
        content, checksum = sealed["content"], sealed["crc32"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError(f"its record is not readable: {error}") from error
    if _checksum(content) != checksum:
        raise DamagedError("the checksum of its record differs")
    try:
        return _record(content)
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"its record has another form: {type(error).__name__}: {error}") from error


def _record(content: Mapping[str, Any]) -> Record:
    """Converts the content of a record, which may have any form."""
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"the checkpoint has format {content['format']}; this version reads format {FORMAT}",
            code="CKPT-VERSION",
            do="use the version of gauss_vit that the run's env.json names, or train in a new --workdir",
        )
    progress = content["progress"]
    return Record(
        progress=Progress(
            step=progress["step"],
            batch_digest=progress["batch_digest"],
            interval=tuple(progress["interval"]),
            metrics=progress["metrics"],
        ),
        experiment=content["experiment"],
        trained_on=trained_on.from_json(content.get("trained_on")),
        origin=origin.from_json(content.get("origin")),
        leaves={
            path: Leaf(shape=tuple(leaf["shape"]), dtype=leaf["dtype"], fingerprint=leaf["fingerprint"])
            for path, leaf in content["leaves"].items()
        },
    )


def check_fits(record: Record, abstract: PyTree, *, subtree: str = "") -> None:
    """Checks, before any array is read, that a checkpoint has the arrays that the model needs.

    Args:
      record: record of the checkpoint.
      abstract: shapes and types that are needed, by their paths in the train state.
      subtree: prefix of the paths to compare, such as "params."; others are ignored.

    Raises:
      CheckpointError: code CKPT-TREE, names differ; CKPT-SHAPE; or CKPT-DTYPE.
    """
    saved = {path: leaf for path, leaf in record.leaves.items() if path.startswith(subtree)}
    wanted = flatten_paths(abstract)
    where = f"checkpoint {record.progress.step}"
    missing, unexpected = sorted(wanted.keys() - saved.keys()), sorted(saved.keys() - wanted.keys())
    if missing or unexpected:
        message = f"{where} has other arrays: missing {_few(missing)}; unexpected {_few(unexpected)}"
        raise CheckpointError(message, code="CKPT-TREE", do=_OTHER_MODEL)
    shapes = [
        f"{path} is {saved[path].shape} in it, {tuple(leaf.shape)} in the model"
        for path, leaf in wanted.items()
        if saved[path].shape != tuple(leaf.shape)
    ]
    if shapes:
        raise CheckpointError(f"{where} does not fit: {_few(shapes)}", code="CKPT-SHAPE", do=_OTHER_MODEL)
    types = [
        f"{path} is {saved[path].dtype} in it, {leaf.dtype} in the model"
        for path, leaf in wanted.items()
        if saved[path].dtype != str(leaf.dtype)
    ]
    if types:
        raise CheckpointError(f"{where} has other types: {_few(types)}", code="CKPT-DTYPE", do=_OTHER_MODEL)


def check_bits(record: Record, arrays: PyTree) -> None:
    """Checks that restored arrays have the bits that were saved.

    Raises:
      DamagedError: naming the arrays whose fingerprints differ.
    """
    words = fingerprints(arrays)
    altered = [path for path, word in words.items() if word != record.leaves[path].fingerprint]
    if altered:
        raise DamagedError(f"the fingerprint differs of {_few(altered)}")


def check_finite(arrays: PyTree, *, where: str) -> None:
    """Checks that no number of restored arrays is infinite or NaN: training from one gives nothing else.

    Args:
      arrays: restored arrays.
      where: name of the checkpoint, such as its folder.

    Raises:
      CheckpointError: code CKPT-NONFINITE, naming the arrays.
    """
    leaves = {path: leaf for path, leaf in flatten_paths(arrays).items() if jnp.issubdtype(leaf.dtype, jnp.floating)}
    finite = np.asarray(_are_finite(list(leaves.values())))
    bad = [path for path, is_finite in zip(leaves, finite, strict=True) if not is_finite]
    if bad:
        raise CheckpointError(
            f"{where} was saved with numbers that are not finite, in {_few(bad)}",
            code="CKPT-NONFINITE",
            do="move this folder elsewhere to go on from the checkpoint before it",
        )


@jax.jit
def _are_finite(leaves: list[PyTree]) -> Bool[Array, " leaves"]:
    return jnp.asarray([jnp.isfinite(leaf).all() for leaf in leaves], bool)


_OTHER_MODEL = "use the config that wrote it, or a new workdir"


def _checksum(content: JsonValue) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _few(items: list[str]) -> str:
    """Lists at most so many items and counts the rest."""
    rest = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return (", ".join(items[:_SHOWN]) or "none") + rest

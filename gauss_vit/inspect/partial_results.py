"""Intermediate arrays of a long measurement, saved so that the same command can resume after it was killed.

They are saved under a digest of everything that their bits depend on; arrays of another measurement are not used.
"""

import hashlib
import io
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.errors import DataError
from gauss_vit.inspect.npz_file import read_npz
from gauss_vit.inspect.result_files import write_bytes
from gauss_vit.tree import flatten_paths

_LOGGER = logging.getLogger(__name__)


def write_partial(path: Path, arrays: Mapping[str, np.ndarray], *, key: str) -> None:
    """Writes named arrays with the digest of their measurement, uncompressed, which is faster.

    Raises:
      StorageError: the file cannot be written.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, key=np.array(key), **arrays)
    write_bytes(path, file.getvalue())


def read_partial(path: Path, *, key: str) -> dict[str, np.ndarray] | None:
    """Reads arrays that were written with this key; None if there are none, or if they belong to another key."""
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path)
    except DataError as error:
        _LOGGER.warning("%s; starting from scratch", error.message)
        return None
    if str(arrays.get("key", "")) != key:
        _LOGGER.warning("%s belongs to another measurement; starting from scratch", path)
        return None
    return arrays


def digest_of(settings: object, params: PyTree, contents: Iterable[bytes]) -> str:
    """Computes a digest of what the bits of a result depend on.

    Args:
      settings: anything else than parameters and images, by its `repr`.
      params: parameters of the model.
      contents: bytes of the images, in their order.
    """
    words = hashlib.blake2b(digest_size=16)
    words.update(repr(settings).encode())
    for path, leaf in sorted(flatten_paths(params).items()):
        array = np.asarray(jax.device_get(leaf))
        words.update(json.dumps([path, str(array.dtype), array.shape]).encode())
        words.update(np.ascontiguousarray(array).tobytes())
    for content in contents:
        words.update(hashlib.blake2b(content).digest())
    return words.hexdigest()

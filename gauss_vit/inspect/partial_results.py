"""Arrays that are saved on the way, under a digest of all that they depend on, for a killed run to go on from."""

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

from gauss_vit.tree import flatten_paths

_LOGGER = logging.getLogger(__name__)


def read_scratch(path: Path, *, key: str) -> dict[str, np.ndarray] | None:
    """Reads arrays that were saved with an array "key"; None where there are none, or none under this key."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        _LOGGER.warning("%s cannot be read (%s); starting anew", path, error)
        return None
    if str(arrays["key"]) != key:
        _LOGGER.warning("%s is of another measurement; starting anew", path)
        return None
    return arrays


def digest_of(meaning: object, params: PyTree, contents: Iterable[bytes]) -> str:
    """Names what the bits of a result depend on.

    Args:
      meaning: settings, by their `repr`.
      params: of a model.
      contents: of the images, in their order.
    """
    words = hashlib.blake2b(digest_size=16)
    words.update(repr(meaning).encode())
    for path, leaf in sorted(flatten_paths(params).items()):
        array = np.asarray(jax.device_get(leaf))
        words.update(json.dumps([path, str(array.dtype), array.shape]).encode())
        words.update(np.ascontiguousarray(array).tobytes())
    for content in contents:
        words.update(hashlib.blake2b(content).digest())
    return words.hexdigest()

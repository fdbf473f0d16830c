"""Reads and writes weight files in the safetensors format: names, shapes and numbers, never code.

A file consists of 8 bytes with the length of the header, the header in JSON, and the numbers. Everything that the
header claims is checked against the size of the file before memory is allocated for it, and names must be unique, so
that a file is unambiguous. There is no second parser: the ranges that are read are the ones that were checked.

Source: https://github.com/huggingface/safetensors, "Format".
"""

import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from gauss_vit.errors import CheckpointError, StorageError
from gauss_vit.files import replacing
from gauss_vit.weights.names.naming import Tensor, shown_name

CODE = "IMPORT"
PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".pkl", ".pickle", ".ckpt")
"""Suffixes of files that can run code when they are loaded."""

BUFFERS = r".*\.(relative_position_index|relative_coords_table|attn_mask|num_batches_tracked)"
"""Names of buffers that other programs store beside their weights; they follow from the config or change nothing."""

_LENGTH_BYTES = 8
# The headers of the largest models of this field are under 0.2 MB; parsing one of 4 MB takes a tenth of a second.
_LARGEST_HEADER = 4 * 2**20
# The largest of this field take 0.6 GB; a file with holes can claim any size.
_LARGEST_TENSOR = 2**31
_LARGEST_RANK = 8
_METADATA = "__metadata__"
_NO_METADATA: Mapping[str, str] = MappingProxyType({})
_ENTRY_KEYS = {"dtype", "shape", "data_offsets"}
_TYPES: Mapping[str, np.dtype] = MappingProxyType(
    {
        "F64": np.dtype(np.float64),
        "F32": np.dtype(np.float32),
        "F16": np.dtype(np.float16),
        "BF16": np.dtype(jnp.bfloat16),
        "I64": np.dtype(np.int64),
        "I32": np.dtype(np.int32),
        "I16": np.dtype(np.int16),
        "I8": np.dtype(np.int8),
        "U8": np.dtype(np.uint8),
        "BOOL": np.dtype(np.bool_),
    }
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A tensor in the header of a file.

    Attributes:
      dtype: Type of the numbers.
      shape: Sizes of the axes.
      start: Position of its first byte, counted from the end of the header.
      stop: Position after its last byte.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def is_float(self) -> bool:
        """Whether it can hold a weight."""
        return self.dtype.kind == "f" or self.dtype == _TYPES["BF16"]


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A file whose header was checked; its numbers are not read yet.

    Attributes:
      path: Path of the file.
      entries: Tensors by name.
      data_start: Position of the first number, in bytes.
      metadata: Texts in the header by name, as they are: they may say anything.
    """

    path: Path
    entries: Mapping[str, Entry]
    data_start: int
    metadata: Mapping[str, str] = field(default_factory=dict)

    def read(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Reads some tensors, each in its own dtype.

        Raises:
          CheckpointError: the file has changed since it was opened.
        """
        with _open(self.path) as file:
            return {name: self._read_one(file, name) for name in names}

    def _read_one(self, file: io.BufferedReader, name: str) -> Tensor:
        entry = self.entries[name]
        array = np.empty(entry.shape, entry.dtype)
        file.seek(self.data_start + entry.start)
        if file.readinto(array.reshape(-1).view(np.uint8).data) != entry.stop - entry.start:
            raise _refusal(self.path, "it became shorter while it was read")
        return array


def open_weights(path: Path) -> WeightFile:
    """Reads and checks a file's header; reads no numbers and allocates no memory for them.

    Raises:
      CheckpointError: the file is missing, is a pickle, or has an invalid header (code IMPORT).
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file {shown_name(str(path))}", code=CODE, do="correct --weights")
    _refuse_pickles(path)
    with _open(path) as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
            claim = f"its header claims {length} bytes" if size >= _LENGTH_BYTES else "a header needs 8 bytes"
            raise _refusal(path, f"{claim}, but the file has {size}: it is cut off, or no safetensors file")
        if length > _LARGEST_HEADER:
            raise _refusal(path, f"its header of {length} bytes is above the limit of {_LARGEST_HEADER}")
        header = _parse(path, file.read(length))
    data_start = _LENGTH_BYTES + length
    entries = {name: _entry(path, name, value) for name, value in header.items() if name != _METADATA}
    _check_ranges(path, entries, size - data_start)
    metadata = _texts(header.get(_METADATA))
    return WeightFile(path=path, entries=MappingProxyType(entries), data_start=data_start, metadata=metadata)


def write(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] = _NO_METADATA) -> None:
    """Writes tensors as PyTorch's libraries do, the same bytes every time; a reader never sees an incomplete file.

    Args:
      path: Path of the file.
      tensors: Arrays by name.
      metadata: Texts for the header, beside the format, by name.

    Raises:
      StorageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file(dict(tensors), temporary, metadata={"format": "pt", **metadata})
            _sort_metadata(temporary)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {path}: {error}", do="choose an --out that you may write") from error


def _sort_metadata(path: Path) -> None:
    """Sorts the metadata in a file's header, which safetensors writes in a random order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
        header[_METADATA] = dict(sorted(header[_METADATA].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= length, "the same header in another order"
        file.seek(_LENGTH_BYTES)
        file.write(text.ljust(length))


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise _refusal(path, f"it cannot be opened: {error.strerror or error}") from error


def _refuse_pickles(path: Path) -> None:
    """Refuses files that can run code when they are loaded, by their suffix or their first bytes.

    A safetensors file may begin like a pickle (with a header of 640 bytes, it does), so a safetensors header is looked
    for first.
    """
    with _open(path) as file:
        start = file.read(_LENGTH_BYTES + 1)
    is_safetensors = start[_LENGTH_BYTES:] == b"{" and start[4:_LENGTH_BYTES] == bytes(4)
    is_archive = start.startswith((b"PK\x03\x04", b"PK\x05\x06"))
    is_pickle = len(start) > 1 and start[0] == 0x80 and start[1] <= 5
    if path.suffix.lower() in PICKLE_SUFFIXES or (not is_safetensors and (is_archive or is_pickle)):
        raise CheckpointError(
            f"{shown_name(str(path))} is a pickle or an archive of one: such files can run code and are not read",
            code=CODE,
            do=f"where torch and safetensors are installed, run: python -c {shlex.quote(_conversion(path))}",
        )


def _conversion(path: Path) -> str:
    """Returns a program of one line that turns a pickle of tensors into a safetensors file beside it.

    torch unpickles tensors only, no code. Training scripts keep the weights under "model" or "state_dict"; tensors that
    share memory, which safetensors refuses, are copied.
    """
    # In a folder of timm or Hugging Face, model.safetensors stands for pytorch_model.bin.
    target = path.with_name(path.name.removeprefix("pytorch_")).with_suffix(".safetensors")
    if target == path:
        target = path.with_name(f"{path.stem}_converted.safetensors")
    return (
        "from torch import is_tensor, load; from safetensors.torch import save_file; "
        f'w = load({json.dumps(str(path))}, map_location="cpu", weights_only=True); '
        'w = w.get("model", w.get("state_dict", w)); '
        "save_file({k: v.clone().contiguous() for k, v in w.items() if is_tensor(v)}, "
        f"{json.dumps(str(target))})"
    )


def _parse(path: Path, text: bytes) -> dict[str, object]:
    """Decodes the header: one JSON object without repeated keys at any depth."""
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
    # Deep nesting raises RecursionError; a number of 5,000 digits or bytes that are not UTF-8 raise ValueError.
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _RepeatError) else "it is not JSON"
        raise _refusal(path, f"its header cannot be read: {reason}") from error
    if not isinstance(header, dict):
        raise _refusal(path, "its header is not a JSON object")
    return header


class _RepeatError(ValueError):
    """A key occurs twice in one JSON object."""


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _RepeatError(f"the name {shown_name(repeated)} occurs twice")
    return values


def _texts(value: object) -> Mapping[str, str]:
    """Returns the metadata that are texts; they decide nothing on their own, so that others are left out."""
    items = value.items() if isinstance(value, dict) else ()
    return MappingProxyType({str(name): text for name, text in items if isinstance(text, str)})


def _entry(path: Path, name: str, value: object) -> Entry:
    """Checks the header's entry of one tensor and decodes it."""
    what = f"tensor {shown_name(name)}"
    if not isinstance(value, dict) or set(value) != _ENTRY_KEYS:
        raise _refusal(path, f"{what} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise _refusal(path, f"{what} has type {shown_name(str(dtype))}; known are {', '.join(_TYPES)}")
    if not _is_sizes(shape) or len(shape) > _LARGEST_RANK or 0 in shape:
        raise _refusal(path, f"{what} has no shape of at most {_LARGEST_RANK} sizes above 0")
    if not _is_sizes(offsets) or len(offsets) != 2:
        raise _refusal(path, f"{what} has no pair of data_offsets")
    entry = Entry(dtype=_TYPES[dtype], shape=tuple(shape), start=offsets[0], stop=offsets[1])
    needed = math.prod(entry.shape) * entry.dtype.itemsize
    if entry.stop - entry.start != needed:
        raise _refusal(path, f"{what} needs {needed} bytes and has {entry.stop - entry.start}")
    if needed > _LARGEST_TENSOR:
        raise _refusal(path, f"{what} needs {needed} bytes, above the limit of {_LARGEST_TENSOR}")
    return entry


def _is_sizes(value: object) -> bool:
    """Returns whether it is a list of integers from 0 to 2^63 - 1; True and 1.0 are not integers."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _check_ranges(path: Path, entries: Mapping[str, Entry], size: int) -> None:
    """Checks that the tensors fill the data without gaps or overlaps, and nothing lies beyond its end."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            raise _refusal(path, f"tensor {shown_name(name)} starts at byte {entry.start} instead of {end}")
        end = entry.stop
    if end != size:
        raise _refusal(path, f"its tensors claim {end} bytes, but it holds {size}: it is cut off or damaged")


def _refusal(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{shown_name(str(path))} is refused: {reason}", code=CODE, do="fetch the file again from its source"
    )

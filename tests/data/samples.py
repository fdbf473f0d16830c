"""A small source in memory, and encoded images, for the tests of the data package."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gauss_vit.batches import ClassTargets
from gauss_vit.data.examples import Example
from gauss_vit.files import FileSet


@dataclass(frozen=True)
class ListSource:
    """Examples held in memory."""

    images: tuple[bytes, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(f"class {index}" for index in range(self.num_classes))

    @property
    def num_classes(self) -> int:
        return len(self.images)

    @property
    def padding_targets(self) -> ClassTargets:
        return ClassTargets(label=np.int32(0))

    def file_set(self) -> FileSet:
        return FileSet.of((str(index), len(image)) for index, image in enumerate(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        return Example(
            image=self.images[index], targets=ClassTargets(label=np.int32(index)), name=f"list record {index}"
        )

    def __repr__(self) -> str:
        return f"ListSource(num_examples={len(self)})"


def encode(pixels: np.ndarray, file_format: str = "PNG") -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=file_format)
    return file.getvalue()


def png(size: tuple[int, int], *, bit_depth: int = 8, color_type: int = 2, rows: bytes = b"") -> bytes:
    """A PNG file of any header, with encoded rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = size
    header = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def noise_source(num_examples: int) -> ListSource:
    """A source of coloured noise, 12 x 10 px, whose labels are their indices."""
    rng = np.random.RandomState(0)
    return ListSource(tuple(encode(rng.randint(0, 256, (12, 10, 3), np.uint8)) for _ in range(num_examples)))

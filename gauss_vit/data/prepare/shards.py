"""Writes any number of records as TFDS shards, in order and in bounded memory.

tfds's own builder gathers a split before it writes it, and needs TensorFlow to do so beyond a gigabyte. Here records go
straight into array_record files, and tfds writes only the metadata.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow_datasets.public_api as tfds
from array_record.python import array_record_module

SHARD_BYTES = 512 << 20
WRITER_OPTIONS = "group_size:1"
"""One record a group, so that any record is read alone."""

Features = tfds.features.FeaturesDict


def write_split(
    examples: Iterable[Mapping[str, Any]], *, features: Features, template: tfds.core.ShardedFileTemplate
) -> tfds.core.SplitInfo:
    """Writes the shards of a split, about half a gibibyte each.

    Args:
      examples: one mapping of features for each record, in order.
      features: encoding of the records.
      template: folder, data set, split and suffix of the files.
    """
    serialized = (features.serialize_example(example) for example in examples)
    paths, lengths, num_bytes = [], [], 0
    for first in serialized:
        path = template.data_dir / f"{template.split}-{len(paths):05d}.partial"
        length, size = _write_shard(Path(path), itertools.chain([first], serialized))
        paths.append(Path(path))
        lengths.append(length)
        num_bytes += size
    for place, path in enumerate(paths):
        path.rename(template.sharded_filepath(shard_index=place, num_shards=len(paths)))
    return tfds.core.SplitInfo(
        name=str(template.split), shard_lengths=lengths, num_bytes=num_bytes, filename_template=template
    )


def _write_shard(path: Path, records: Iterator[bytes]) -> tuple[int, int]:
    """Writes records until the file is full or they end.

    Returns:
      The number of records written, and of bytes.
    """
    writer = array_record_module.ArrayRecordWriter(str(path), WRITER_OPTIONS)
    length, size = 0, 0
    try:
        for record in records:
            writer.write(record)
            length, size = length + 1, size + len(record)
            if size >= SHARD_BYTES:
                break
    finally:
        writer.close()
    return length, size

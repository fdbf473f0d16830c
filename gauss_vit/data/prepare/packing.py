"""Writes planned data sets in TFDS's array_record form, which stock TFDS reads too.

A data set is written to a temporary folder and renamed into place: it is complete or does not exist. One process at a
time writes a data set, and removes what a killed process left behind.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets.public_api as tfds

from gauss_vit.data.prepare import shards
from gauss_vit.data.prepare.plans import Plan
from gauss_vit.errors import BusyError, DataError, StorageError
from gauss_vit.files import append_text

_LOGGER = logging.getLogger(__name__)

ASIDE = ".incomplete-"
LOCK_FILE = ".lock"
REPORT_EVERY = 10_000


def _write_files(plan: Plan, folder: Path) -> None:
    """Writes shards and metadata of a planned data set; its features are those of TFDS's ImageNet.

    Raises:
      DataError: DATA-EMPTY, a split is empty.
    """
    features = tfds.features.FeaturesDict(
        {
            "file_name": tfds.features.Text(),
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=list(plan.class_names)),
        }
    )
    folder.mkdir(parents=True)
    infos = [
        shards.write_split(
            _examples(plan, split),
            features=features,
            template=tfds.core.ShardedFileTemplate(
                data_dir=folder, dataset_name=plan.name, split=split, filetype_suffix="array_record"
            ),
        )
        for split in plan.splits
    ]
    if not all(info.num_examples for info in infos):
        raise DataError(f"a split of {plan.name} holds no images", do="give each at least one", code="DATA-EMPTY")
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=infos,
        version=plan.version,
        check_data=False,
        description=plan.description,
        supervised_keys=("image", "label"),
        disable_shuffling=True,
    )


def _examples(plan: Plan, split: str) -> Iterator[dict[str, str | bytes | int]]:
    """Yields the records of a split as features, and logs progress."""
    for count, record in enumerate(plan.splits[split](), 1):
        yield {"file_name": record.file_name, "image": record.image, "label": record.label}
        if count % REPORT_EVERY == 0:
            _LOGGER.info("%s %s: %d images", plan.name, split, count)


def write(plan: Plan, data_dir: Path) -> Path:
    """Writes a planned data set below a TFDS folder, unless that version exists, and returns its folder.

    Raises:
      DataError: an image or archive is damaged; nothing is left behind.
      BusyError: code DATA-BUSY, another process is writing it.
      StorageError: the folder cannot be written.
    """
    target = data_dir / plan.name / plan.version
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            if target.is_dir():
                return target
            for abandoned in target.parent.glob(f"{ASIDE}*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=ASIDE, dir=target.parent, ignore_cleanup_errors=True) as aside:
                finished = Path(aside, plan.name, plan.version)
                _write_files(plan, finished)
                _settle(finished)
                finished.rename(target)
            return target
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{plan.name} cannot be written to {target.parent}: {reason}"
        raise StorageError(message, do="give a writable --data_dir with enough space") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Locks a data set against other processes; the system releases the lock when the process ends.

    Raises:
      BusyError: another process is writing it.
    """
    with append_text(folder / LOCK_FILE) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process is preparing {folder}"
            raise BusyError(message, do="wait for it to end", code="DATA-BUSY") from error
        yield


def _settle(folder: Path) -> None:
    """Flushes the files and the folder to the disk before the rename."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Plans a data set from the official ImageNet-1K archives. Nothing is unpacked to the disk.

`ILSVRC2012_img_train.tar` holds a tar of images for each class, `ILSVRC2012_img_val.tar` the validation images, whose
classes are in a list of their own. Archives are not trusted: only regular members with exactly the names that ImageNet
gives are read, and anything else is an error. An incomplete archive is an error too: labelling the images of a
partial validation archive by their position, as is often done, silently labels them wrongly.
"""

import importlib.metadata
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gauss_vit.data.file_reading import read_file
from gauss_vit.data.prepare.plans import Plan, Record
from gauss_vit.errors import DataError

TRAIN_ARCHIVE, VALIDATION_ARCHIVE = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
VERSION = "5.1.0"
CLASS_ARCHIVE = re.compile(r"(n\d{8})\.tar")
VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
MAX_IMAGE_BYTES = 1 << 28
IMAGENET_FOLDER = "tensorflow_datasets/datasets/imagenet2012"
NAMES_FILE, VALIDATION_FILE = f"{IMAGENET_FOLDER}/labels.txt", f"{IMAGENET_FOLDER}/validation_labels.txt"


def archive_plan(folder: Path, name: str, *, labels_file: Path | None = None) -> Plan:
    """Plans the data set of one or both of the official archives, and checks that they are complete.

    Args:
      folder: folder of the archives.
      name: name of the data set.
      labels_file: the class of every validation image in order, a synset such as n01751748 a line; by default the list
        that TFDS distributes.

    Raises:
      DataError: DATA-EMPTY, there is no archive; DATA-LABEL, the list of classes is wrong; DATA-ARCHIVE, an
        archive is incomplete or not the official one.
    """
    class_names = _read_lines(_tfds_file(NAMES_FILE))
    splits = {}
    if (folder / TRAIN_ARCHIVE).is_file():
        with _opened(folder / TRAIN_ARCHIVE) as archive:
            _class_archives(archive, folder / TRAIN_ARCHIVE, class_names)
        splits["train"] = lambda: train_records(folder / TRAIN_ARCHIVE, class_names)
    if (folder / VALIDATION_ARCHIVE).is_file():
        labels = read_labels(labels_file or _tfds_file(VALIDATION_FILE), class_names)
        with _opened(folder / VALIDATION_ARCHIVE) as archive:
            _validation_images(archive, folder / VALIDATION_ARCHIVE, len(labels))
        splits["validation"] = lambda: validation_records(folder / VALIDATION_ARCHIVE, labels)
    if not splits:
        message = f"{folder} holds neither {TRAIN_ARCHIVE} nor {VALIDATION_ARCHIVE}"
        raise DataError(message, do="download them from image-net.org, with an account", code="DATA-EMPTY")
    return Plan(
        name=name,
        version=VERSION,
        description="ImageNet-1K (ILSVRC 2012) from the official archives; images byte for byte, in order of names.",
        class_names=class_names,
        splits=splits,
    )


def read_labels(path: Path, class_names: Sequence[str]) -> tuple[int, ...]:
    """Reads the class index of every validation image, in the order of their numbers.

    Raises:
      DataError: DATA-LABEL, a line is not a class.
    """
    places = {name: place for place, name in enumerate(class_names)}
    lines = _read_lines(path)
    for number, line in enumerate(lines, 1):
        if line not in places:
            message = f"{path} line {number}: {line[:40]!r} is not one of the {len(places)} classes"
            raise DataError(message, do="give synsets such as n01751748, one a line", code="DATA-LABEL")
    return tuple(places[line] for line in lines)


def train_records(path: Path, class_names: Sequence[str]) -> Iterator[Record]:
    """The training images, class after class, by name.

    Raises:
      DataError: DATA-ARCHIVE, a member is foreign, a class is missing or the archive is damaged.
    """
    with _opened(path) as archive:
        members = _class_archives(archive, path, class_names)
        for label, synset in enumerate(class_names):
            inner = members[synset]
            where = path / inner.name
            try:
                with tarfile.open(fileobj=archive.extractfile(inner), mode="r:") as images:
                    pattern = re.compile(rf"({synset}_\d+)\.JPEG")
                    for _, member in _members(images, where, pattern=pattern):
                        yield Record(image=_content(images, member, where), label=label, file_name=member.name)
            except tarfile.TarError as error:
                raise _damaged(where, error) from error


def validation_records(path: Path, labels: Sequence[int]) -> Iterator[Record]:
    """The validation images by number.

    Raises:
      DataError: DATA-ARCHIVE, a member is foreign, an image is missing or the archive is damaged.
    """
    with _opened(path) as archive:
        for label, member in zip(labels, _validation_images(archive, path, len(labels)), strict=True):
            yield Record(image=_content(archive, member, path), label=label, file_name=member.name)


def _class_archives(archive: tarfile.TarFile, path: Path, class_names: Sequence[str]) -> dict[str, tarfile.TarInfo]:
    """The archive of every class, by synset.

    Raises:
      DataError: DATA-ARCHIVE, one is missing, or there is another one.
    """
    members = dict(_members(archive, path, pattern=CLASS_ARCHIVE))
    missing, foreign = set(class_names) - set(members), set(members) - set(class_names)
    if missing or foreign:
        message = f"{path} lacks {len(missing)} of {len(class_names)} classes and has {len(foreign)} others"
        raise DataError(message, do="download it again, complete", code="DATA-ARCHIVE")
    return members


def _validation_images(archive: tarfile.TarFile, path: Path, num_images: int) -> list[tarfile.TarInfo]:
    """The validation images by number.

    Raises:
      DataError: DATA-ARCHIVE, one is missing, or there is another one.
    """
    members = _members(archive, path, pattern=VALIDATION_IMAGE)
    if [int(number) for number, _ in members] != list(range(1, num_images + 1)):
        message = f"{path} holds {len(members)} images, not number 1 to {num_images}"
        raise DataError(message, do="download it again, complete", code="DATA-ARCHIVE")
    return [member for _, member in members]


def _opened(path: Path) -> tarfile.TarFile:
    """Opens an uncompressed tar.

    Raises:
      DataError: DATA-ARCHIVE, it is not one.
    """
    try:
        return tarfile.open(path, mode="r:")
    except tarfile.TarError as error:
        raise _damaged(path, error) from error


def _members(archive: tarfile.TarFile, path: Path, *, pattern: re.Pattern) -> list[tuple[str, tarfile.TarInfo]]:
    """The members by name, with what the pattern captures of it.

    Raises:
      DataError: DATA-ARCHIVE, a member is not a regular file, or its name is unknown or a duplicate.
    """
    found = {}
    try:
        for member in archive.getmembers():
            match = pattern.fullmatch(member.name)
            is_plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
            if match is None or not is_plain or match[1] in found:
                message = f"{path} has a member that ImageNet's archive does not have: {member.name[:80]!r}"
                raise DataError(message, do="use the official archive", code="DATA-ARCHIVE")
            found[match[1]] = member
    except tarfile.TarError as error:
        raise _damaged(path, error) from error
    return sorted(found.items(), key=lambda item: item[1].name)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    """The bytes of an image.

    Raises:
      DataError: DATA-ARCHIVE, it is cut short, or far too large.
    """
    file = archive.extractfile(member) if member.size <= MAX_IMAGE_BYTES else None
    content = b"" if file is None else file.read()
    if not content or len(content) != member.size:
        message = f"{path}: {member.name} is empty, cut short, or larger than {MAX_IMAGE_BYTES >> 20} MiB"
        raise DataError(message, do="download the archive again", code="DATA-ARCHIVE")
    return content


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a readable tar: {error}", do="download it again", code="DATA-ARCHIVE")


def _tfds_file(path: str) -> Path:
    """Finds a file that the tensorflow-datasets package distributes.

    Raises:
      DataError: DATA-TFDS, it is not installed.
    """
    try:
        return Path(str(importlib.metadata.distribution("tensorflow-datasets").locate_file(path)))
    except importlib.metadata.PackageNotFoundError as error:
        message = "the list of ImageNet's classes comes with tensorflow-datasets, which is not installed"
        raise DataError(message, do="pip install 'gauss_vit[tfds]'", code="DATA-TFDS") from error


def _read_lines(path: Path) -> tuple[str, ...]:
    """The lines of a text file without the blanks around them."""
    return tuple(line.strip() for line in read_file(path).decode(errors="replace").strip().splitlines())

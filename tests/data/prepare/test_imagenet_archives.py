"""The ImageNet archives: complete, genuine by name, labelled by number, and never unpacked."""

import io
import tarfile

import pytest

from gauss_vit.data.prepare import imagenet_archives as archives
from gauss_vit.data.prepare.imagenet_archives import archive_plan, read_labels, train_records, validation_records
from gauss_vit.errors import DataError

CLASSES = ("n00000001", "n00000002")
VALIDATION = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in (2, 1, 3)]


def tar(members, **changes):
    """A tar of (name, content); a change makes every header wrong."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def class_tar(synset, count=2):
    """A tar of one class, its images not in order."""
    return tar([(f"{synset}_{index}.JPEG", f"{synset} {index}".encode()) for index in reversed(range(count))])


def save(tmp_path, content):
    """A file with that content."""
    path = tmp_path / "archive.tar"
    path.write_bytes(content)
    return path


def test_training_images_come_class_after_class_by_name(tmp_path):
    path = save(tmp_path, tar([(f"{synset}.tar", class_tar(synset)) for synset in reversed(CLASSES)]))
    records = list(train_records(path, CLASSES))
    assert [(record.file_name, record.label) for record in records] == [
        ("n00000001_0.JPEG", 0),
        ("n00000001_1.JPEG", 0),
        ("n00000002_0.JPEG", 1),
        ("n00000002_1.JPEG", 1),
    ]
    assert records[3].image == b"n00000002 1"


def test_validation_images_are_labelled_by_their_number(tmp_path):
    path = save(tmp_path, tar([(name, name.encode()) for name in VALIDATION]))
    records = list(validation_records(path, (5, 6, 7)))
    assert [(record.file_name[-6:-5], record.label) for record in records] == [("1", 5), ("2", 6), ("3", 7)]


@pytest.mark.parametrize("names", [VALIDATION[:2], VALIDATION[1:], [*VALIDATION, "ILSVRC2012_val_00000004.JPEG"]])
def test_an_incomplete_validation_archive_is_an_error(tmp_path, names):
    path = save(tmp_path, tar([(name, b"x") for name in names]))
    with pytest.raises(DataError, match="not number 1 to 3") as caught:
        list(validation_records(path, (5, 6, 7)))
    assert caught.value.code == "DATA-ARCHIVE"


def test_an_incomplete_training_archive_is_an_error(tmp_path):
    path = save(tmp_path, tar([("n00000001.tar", class_tar("n00000001"))]))
    with pytest.raises(DataError, match="lacks 1 of 2 classes and has 0 others"):
        list(train_records(path, CLASSES))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../../outside.JPEG", {}),
        ("/etc/outside.JPEG", {}),
        ("./ILSVRC2012_val_00000001.JPEG", {}),
        ("ILSVRC2012_val_00000001.JPEG\n", {}),
        ("ILSVRC2012_val_00000001.JPEG", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("ILSVRC2012_val_00000001.JPEG", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("ILSVRC2012_val_00000001.JPEG", {"type": tarfile.FIFOTYPE, "size": 0}),
    ],
)
def test_hostile_members_are_refused_and_nothing_is_written(tmp_path, name, changes):
    path = save(tmp_path, tar([(name, b"x")], **changes))
    with pytest.raises(DataError, match="has a member that ImageNet's archive does not have"):
        list(validation_records(path, (0,)))
    assert [found.name for found in tmp_path.iterdir()] == ["archive.tar"]


def test_a_member_given_twice_is_refused(tmp_path):
    path = save(tmp_path, tar([(VALIDATION[1], b"x"), (VALIDATION[1], b"y")]))
    with pytest.raises(DataError, match="does not have"):
        list(validation_records(path, (0,)))


def test_foreign_images_in_a_class_are_refused(tmp_path):
    path = save(tmp_path, tar([("n00000001.tar", class_tar("n00000002")), ("n00000002.tar", class_tar("n00000002"))]))
    with pytest.raises(DataError, match=r"n00000001\.tar has a member"):
        list(train_records(path, CLASSES))


@pytest.mark.parametrize("content", [b"", b"no tar" * 200, tar([(VALIDATION[1], b"x" * 2000)])[:900]])
def test_a_damaged_archive_is_an_error(tmp_path, content):
    with pytest.raises(DataError, match=r"archive\.tar") as caught:
        list(validation_records(save(tmp_path, content), (0,)))
    assert caught.value.code == "DATA-ARCHIVE"


def test_a_damaged_class_is_an_error_that_names_it(tmp_path):
    path = save(tmp_path, tar([("n00000001.tar", b"no tar" * 200), ("n00000002.tar", class_tar("n00000002"))]))
    with pytest.raises(DataError, match=r"n00000001\.tar is not a readable tar"):
        list(train_records(path, CLASSES))


def test_images_too_large_to_be_true_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_IMAGE_BYTES", 1 << 20)
    path = save(tmp_path, tar([(VALIDATION[1], b"x" * ((1 << 20) + 1))]))
    with pytest.raises(DataError, match="larger than 1 MiB"):
        list(validation_records(path, (0,)))


def test_the_official_lists_have_1000_classes_and_50000_labels():
    class_names = archives._read_lines(archives._tfds_file(archives.NAMES_FILE))
    assert (len(class_names), class_names[0]) == (1000, "n01440764")
    labels = read_labels(archives._tfds_file(archives.VALIDATION_FILE), class_names)
    assert len(labels) == 50_000
    assert labels[:2] == (65, 970)


def test_an_incomplete_archive_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / archives.VALIDATION_ARCHIVE).write_bytes(tar([(name, b"x") for name in VALIDATION]))
    with pytest.raises(DataError, match="holds 3 images, not number 1 to 50000"):
        archive_plan(tmp_path, "imagenet2012")
    (tmp_path / "labels.txt").write_text("n01440764\n" * 3)
    plan = archive_plan(tmp_path, "imagenet2012", labels_file=tmp_path / "labels.txt")
    assert tuple(plan.splits) == ("validation",)
    (tmp_path / archives.TRAIN_ARCHIVE).write_bytes(tar([("n01440764.tar", class_tar("n01440764"))]))
    with pytest.raises(DataError, match="lacks 999 of 1000 classes"):
        archive_plan(tmp_path, "imagenet2012", labels_file=tmp_path / "labels.txt")


def test_the_labels_may_come_from_a_file(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("n00000002\r\nn00000001\n\n")
    assert read_labels(path, CLASSES) == (1, 0)
    path.write_text("n00000002\n490\n")
    with pytest.raises(DataError, match=r"labels\.txt line 2: '490' is not one of the 2 classes"):
        read_labels(path, CLASSES)


def test_a_folder_without_archives_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds neither"):
        archive_plan(tmp_path, "imagenet2012")

"""`predict`: timm's probabilities, evaluation's answers, one line an image, and every file that is left out is said."""

import csv
import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit import main as program
from gauss_vit.assembly import named_model
from gauss_vit.commands import predict
from gauss_vit.data.config import EvalTransform
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.data.sources.splits import open_split
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets.vit import VIT_SMALL
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.safetensors_file import write
from tests.analysis.photos import write_photos
from tests.commands.predict_weights import SIDE, TOP, tensor
from tests.commands.test_evaluate import evaluated
from tests.data.samples import png
from tests.detecting import detecting_model
from tests.drawing import undrawn
from tests.named_models import add_preset
from tests.networks import classifier
from tests.segmenter import CLASSES, PALETTE, segmenter, write_shore

SMALL = dataclasses.replace(VIT_SMALL, image_size=(SIDE, SIDE), width=48, depth=2, num_heads=3)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures and a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    write_photos(folder)
    (folder / "notes.txt").write_text("about the pictures")
    return folder


@pytest.fixture
def bad(photos: Path) -> Path:
    """A truncated picture among them."""
    whole = (photos / "1.png").read_bytes()
    (photos / "bad.png").write_bytes(whole[: len(whole) // 2])
    return photos / "bad.png"


def run(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> tuple[list[str], list[str]]:
    """The lines of both streams."""
    assert program.main(["predict", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def predicted(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict]:
    return [json.loads(line) for line in run(capsys, "--json", *arguments)[0]]


def test_probabilities_are_those_of_timm(photos, tmp_path, monkeypatch, capsys):
    add_preset(monkeypatch, "vit_golden", SMALL)
    wanted = naming.expected(timm_rules(classifier(SMALL)), abstract(classifier(SMALL, 1000))[1])
    write(tmp_path / "w.safetensors", {name: tensor(name, each.shape) for name, each in wanted.items()})
    model = ["--model=vit_golden", f"--weights={tmp_path / 'w.safetensors'}"]
    found = predicted(capsys, *model, f"--topk={TOP}", photos)
    with np.load(Path(__file__).with_name("predict_reference.npz")) as recorded:
        index, probability = recorded["index"], recorded["probability"]
    assert [[record["index"] for record in line["topk"]] for line in found] == index.tolist()
    ours = np.array([[record["probability"] for record in line["topk"]] for line in found])
    np.testing.assert_allclose(ours, probability, rtol=1e-4, atol=1e-6)  # 1e-6 of the logits, which are up to 10.


def test_answers_are_those_of_the_evaluation(workdir: Path, tmp_path: Path, capsys):
    digits = open_split(named_model.run_experiment(workdir).data, "test[:50]")
    for index in range(len(digits)):
        (tmp_path / f"{index:02}.png").write_bytes(digits[index].image)
    found = predicted(capsys, f"--workdir={workdir}", "--batch_size=16", tmp_path)
    assert [Path(line["file"]).name for line in found] == [f"{index:02}.png" for index in range(50)]
    labels = [digits[index].targets.label for index in range(50)]
    num_right = sum(line["topk"][0]["index"] == label for line, label in zip(found, labels, strict=True))
    assert num_right == round(evaluated(capsys, f"--workdir={workdir}")["top1"] * 50)


def test_classes_are_ranked_and_sum_to_one(workdir: Path, photos: Path, capsys):
    for line in predicted(capsys, f"--workdir={workdir}", "--topk=99", photos):
        probabilities = [record["probability"] for record in line["topk"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-6)
        assert {record["index"] for record in line["topk"]} == set(range(10))


def test_batches_change_nothing_but_rounding(workdir: Path, photos: Path, capsys):
    several, single = (predicted(capsys, f"--workdir={workdir}", f"--batch_size={size}", photos) for size in (8, 1))
    for one, other in zip(several, single, strict=True):
        assert [record["index"] for record in one["topk"]] == [record["index"] for record in other["topk"]]
        for mine, theirs in zip(one["topk"], other["topk"], strict=True):
            assert mine["probability"] == pytest.approx(theirs["probability"], abs=1e-6)


def test_table_and_csv_say_what_json_says(workdir: Path, photos: Path, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    flags = (f"--workdir={workdir}", "--topk=2", ".")
    found = predicted(capsys, *flags)
    rows = list(csv.DictReader(run(capsys, "--csv", *flags)[0]))
    assert [(row["file"], int(row["index"]), float(row["probability"])) for row in rows] == [
        (line["file"], record["index"], record["probability"]) for line in found for record in line["topk"]
    ]
    heading, *table = run(capsys, *flags)[0]
    assert heading.split() == ["file", "index", "probability", "name"]
    assert [line.split()[-1] for line in table] == [row["name"] for row in rows]
    assert [line.index("%") for line in table] == [heading.index("probability") + len("probability") - 1] * 6
    assert [line.startswith(" ") for line in table] == [False, True] * 3


@pytest.mark.parametrize(
    ("transform", "size"),
    [(ResizeToFit(scale=(32, 16)), (64, 32)), (ResizeCenterCrop(), (32, 16))],
    ids=["whole", "crop"],
)
def test_segmentation_writes_an_overlay_and_a_mask_of_each_photo(
    tmp_path: Path, monkeypatch, capsys, transform: EvalTransform, size: tuple[int, int]
):
    shore = write_shore(tmp_path / "shore", num_images=3, size=(32, 64))
    named = dataclasses.replace(segmenter(), eval_transform=transform)
    monkeypatch.setattr(predict, "named_model", lambda given: named)
    out = tmp_path / "out"
    with undrawn():
        found = predicted(capsys, "--workdir=w", f"--out={out}", "--batch_size=2", shore / "images")
    assert sorted(path.name for path in out.iterdir()) == [
        f"{i}_{kind}.png" for i in range(3) for kind in ("mask", "overlay")
    ]
    for index, line in enumerate(found):
        assert line["mask"] == str(out / f"{index}_mask.png")
        with Image.open(line["mask"]) as mask:
            assert mask.size == size
            classes = np.asarray(mask)
            assert mask.getpalette()[:9] == [part for colour in PALETTE for part in colour]
        counts = np.bincount(classes.ravel(), minlength=3)
        for segment in line["segments"]:
            assert segment["share"] == pytest.approx(counts[segment["index"]] / classes.size, abs=1e-6)
            assert segment["name"] == CLASSES[segment["index"]]
    assert any(len(line["segments"]) > 1 for line in found)


def test_objects_are_listed_drawn_and_written_as_coco_results(tmp_path: Path, monkeypatch, capsys):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (2, 50, 60, 3), dtype=np.uint8)
    for name, pixels in zip(("000000000139", "000000000285"), noise, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    # Images of 53 x 64 pixels in batches of 64 x 96.
    named = dataclasses.replace(detecting_model(), eval_transform=ResizeToFit(scale=(64, 64)))
    monkeypatch.setattr(predict, "named_model", lambda given: named)
    with undrawn():
        found = predicted(capsys, "--workdir=w", f"--out={out}", "--topk=100", folder)
    entries = json.loads((out / "coco_results.json").read_text())
    assert len(entries) == sum(len(line["boxes"]) for line in found) > 2
    listed = [(Path(line["file"]).name, box) for line in found for box in line["boxes"]]
    for entry, (name, box) in zip(entries, listed, strict=True):
        assert (entry["file_name"], entry["image_id"]) == (name, int(name.removesuffix(".png")))
        assert (entry["category_id"], entry["score"]) == (box["index"], box["probability"])
        x, y, width, height = entry["bbox"]
        edges = np.rint([x, y, x + width, y + height])
        np.testing.assert_array_equal(edges[:2], [box["x"], box["y"]])
        np.testing.assert_array_equal(edges[2:] - edges[:2], [box["width"], box["height"]])
        assert entry["segmentation"]["size"] == [50, 60]
        assert 0 <= x <= x + width <= 60.001 and 0 <= y <= y + height <= 50.001
    with Image.open(found[0]["mask"]) as mask:
        assert mask.size == (60, 50)


def test_classes_of_whole_images_have_no_pictures(workdir: Path, photos: Path, tmp_path: Path, capsys):
    _, errors = run(capsys, f"--workdir={workdir}", f"--out={tmp_path / 'out'}", photos, status=2)
    assert "does not say where" in errors[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("is_known", [True, False])
def test_names_of_classes_are_those_of_the_run(workdir: Path, photos: Path, monkeypatch, capsys, is_known: bool):
    load = predict.named_model
    if not is_known:
        monkeypatch.setattr(predict, "named_model", lambda given: dataclasses.replace(load(given), class_names=()))
    (line, *_), errors = run(capsys, f"--workdir={workdir}", "--json", photos)
    for record in json.loads(line)["topk"]:
        assert record["name"] == (str(record["index"]) if is_known else None)
    assert any("holds no class names" in line for line in errors) != is_known


def test_damaged_image_ends_it_and_says_what_helps(workdir: Path, photos: Path, bad: Path, capsys):
    _, errors = run(capsys, f"--workdir={workdir}", photos, status=3)
    assert "error[DATA-DECODE]" in errors[-1] and str(bad) in errors[-1] and "--skip_bad" in errors[-1]


def test_damaged_images_are_skipped_and_counted(workdir: Path, photos: Path, bad: Path, capsys):
    whole = predicted(capsys, f"--workdir={workdir}", *sorted(photos.glob("[0-9].png")))
    out, errors = run(capsys, f"--workdir={workdir}", "--json", "--skip_bad", photos)
    assert [json.loads(line)["file"] for line in out] == [line["file"] for line in whole]
    assert any(line.startswith(f"gauss_vit: warning: skipped {bad}: ") for line in errors)
    assert errors[-1] == "gauss_vit: warning: skipped 1 of 4 images"


def test_nothing_readable_is_an_error(workdir: Path, bad: Path, capsys):
    _, errors = run(capsys, f"--workdir={workdir}", "--skip_bad", bad, status=3)
    assert "none of 1 images can be read" in errors[-1]


def test_limit_of_pixels_is_raised_by_the_flag_that_is_named(workdir: Path, photos: Path, capsys):
    _, errors = run(capsys, f"--workdir={workdir}", "--max_pixels=88399", photos / "0.png", status=3)
    assert "260 x 340 px is 0 Mpx, the limit is 0.088399 Mpx. DO: add --max_pixels=88400, or" in errors[-1]
    assert len(predicted(capsys, f"--workdir={workdir}", "--max_pixels=88400", photos / "0.png")) == 1


def test_large_image_is_refused_in_one_line_of_our_own(workdir: Path, tmp_path: Path, capsys):
    (tmp_path / "large.png").write_bytes(png((9000, 12_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, errors = run(capsys, f"--workdir={workdir}", tmp_path / "large.png", status=3)
    assert "9000 x 12000 px is 108 Mpx, the limit is 50 Mpx. DO: add --max_pixels=108000000, or" in errors[-1]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--workdir=W"], 2, "predict needs images"),
        (["--workdir=W", "--json", "--csv", "a.jpg"], 2, "--json and --csv are two formats"),
        (["--model=vit_base_patch16_224", "0.png"], 2, "add --weights=FILE.safetensors"),
        (["--workdir=W", "--head=fresh", "0.png"], 2, "leave out --head"),
        (["--workdir=W", "0.pgn"], 3, "0.pgn does not exist. DO: did you mean 0.png?"),
        (["--workdir=W", "none*.jpg"], 3, "none*.jpg: no images"),
    ],
)
def test_mistakes_are_answered(arguments: list, status: int, message: str, photos: Path, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    out, errors = run(capsys, *arguments, status=status)
    assert message in errors[-1] and not out


def test_files_that_are_left_out_are_said(workdir: Path, photos: Path, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    out, errors = run(capsys, f"--workdir={workdir}", "--json", "0.png", ".", "[01].png")
    assert [json.loads(line)["file"] for line in out] == ["0.png", "1.png", "2.png"]
    assert "gauss_vit: warning: 3 files are named more than once; each is predicted once" in errors
    assert "gauss_vit: warning: 1 file is left out, without the suffix of an image" in errors

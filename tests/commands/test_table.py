"""The `table` verb: the paper's tables for models and runs at hand."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gauss_vit.analysis.position import analyse_position
from gauss_vit.command_line.console import ReaderGoneError
from gauss_vit.commands import table
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.position import position_groups
from gauss_vit.inspect.tables.sources import sources
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from tests.command_lines import invocation, unread
from tests.named_models import add_preset
from tests.tiny_config import MODEL

RELPOS = dataclasses.replace(MODEL, image_size=(32, 32), position=Position(terms=(RelativeMlp(hidden=16),)))
PLAIN = dataclasses.replace(MODEL, image_size=(32, 32), position=Position(absolute=AbsoluteEmbedding()))


@pytest.fixture(autouse=True)
def presets(monkeypatch):
    add_preset(monkeypatch, "tiny_relpos", RELPOS)
    add_preset(monkeypatch, "tiny_plain", PLAIN)


def run(*words):
    table.run(invocation(["table", *map(str, words)]))


def rows_of(path):
    return json.loads(path.read_text())["rows"]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images" / "n01440764"
    folder.mkdir(parents=True)
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder.parent


def test_table_1_fits_the_relative_bias_of_every_layer(tmp_path, capsys):
    run("1", "tiny_relpos", "tiny_plain", f"--out={tmp_path}/t1")
    rows = rows_of(tmp_path / "t1.json")
    assert [(row["model"], row["layer"], row["from"]) for row in rows] == [
        ("tiny_relpos", "0", "here"),
        ("tiny_relpos", "1", "here"),
        ("tiny_plain", "all", "here"),
    ]
    assert all(row["values"]["R2"] <= 1 for row in rows[:2])
    assert rows[2]["missing"] == dict.fromkeys(("R2", "sigma x", "sigma y"), "no bias")
    assert (tmp_path / "t1.csv").read_text().count("\n") == 4
    out = capsys.readouterr().out
    assert "untrained" in out and "dropout off" in out


def test_the_gaussian_is_no_part_of_the_relative_bias(tmp_path, monkeypatch):
    add_preset(monkeypatch, "tiny_both", with_terms(RELPOS, Gaussian()))
    run("1", "tiny_both", f"--out={tmp_path}/t1")
    (source,) = sources(invocation(["table", "1", "tiny_both"]))
    (group,) = position_groups(RELPOS, source.load().params)
    fits = analyse_position(group.tables, grid=(4, 4)).fits
    assert [row["values"]["R2"] for row in rows_of(tmp_path / "t1.json")] == [fit.r_squared for fit in fits]


def test_the_codes_variant_has_dropout_and_says_so(tmp_path, capsys):
    for name, words in (("text", ()), ("code", ("--variant=code",)), ("other", ("--variant=code", "--seed=1"))):
        run("1", "tiny_relpos", *words, f"--out={tmp_path}/{name}")
    text, code, other = (rows_of(tmp_path / f"{name}.json")[0]["values"]["R2"] for name in ("text", "code", "other"))
    assert len({text, code, other}) == 3
    assert json.loads((tmp_path / "code.json").read_text())["variant"] == "code"
    assert "dropout on, as in the paper's code" in capsys.readouterr().out


def test_table_s1_fits_fields_and_measures_accuracies(tmp_path, images, monkeypatch, capsys):
    # The names of its classes are ImageNet's.
    add_preset(monkeypatch, "vit_relpos_small_patch16_224", RELPOS)
    run("s1", "vit_relpos_small_patch16_224", f"--images={images}", f"--out={tmp_path}/s1", "--protocol=pre_norm")
    row, _ = rows_of(tmp_path / "s1.json")
    assert row["values"]["R2"] is not None and 0 <= row["values"]["top-1"] <= row["values"]["top-5"] <= 100
    assert "on 3 of the images" in capsys.readouterr().out


def test_damaged_images_can_be_left_out_of_table_s1(tmp_path, images, monkeypatch, capsys):
    add_preset(monkeypatch, "vit_relpos_small_patch16_224", RELPOS)
    (images / "n01440764" / "0.png").write_bytes(b"text")
    flags = (f"--images={images}", "--protocol=pre_norm")
    with pytest.raises(DataError, match=r"0\.png"):
        run("s1", "vit_relpos_small_patch16_224", *flags)
    run("s1", "vit_relpos_small_patch16_224", *flags, "--skip_bad")
    out = capsys.readouterr().out
    assert "2 images, pre_norm" in out and "on 2 of the images" in out


def test_without_images_nothing_of_table_s1_is_claimed(tmp_path):
    run("s1", "tiny_relpos", f"--out={tmp_path}/s1")
    (row,) = rows_of(tmp_path / "s1.json")
    assert set(row["missing"].values()) == {"not run"} and set(row["values"].values()) == {None}


def test_table_s2_counts_parameters(tmp_path):
    run("s2", "tiny_plain", f"--out={tmp_path}/s2")
    (row,) = rows_of(tmp_path / "s2.json")
    assert (row["values"]["blocks"], row["values"]["channels"], row["values"]["heads"]) == (2, 16, 2)


def test_table_s3_lists_what_a_run_has_learned(tmp_path, workdir):
    run("s3", workdir, "tiny_plain", f"--out={tmp_path}/s3")
    mean, first, second, absent = rows_of(tmp_path / "s3.json")
    assert [row["layer"] for row in (mean, first, second)] == ["mean", "0", "1"]
    amplitudes = [row["values"]["amplitude"] for row in (first, second)]
    assert mean["values"]["amplitude"] == pytest.approx(np.mean(amplitudes))
    assert amplitudes[0] == pytest.approx(2, abs=0.1)
    assert absent["missing"] == {"amplitude": "no Gaussian", "sigma": "no Gaussian"}


@pytest.fixture
def arms(tmp_path, workdir):
    """Runs of both arms as folders, with what evaluate would have written."""
    found = []
    for name, terms, test in (("none", "()", 0.5), ("gauss", None, 0.75), ("gauss_1", None, 0.85)):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(workdir / "metrics.jsonl", folder)
        config = json.loads((workdir / "config.json").read_text())
        if terms is not None:
            config["model"]["position"]["terms"] = []
        (folder / "config.json").write_text(json.dumps(config))
        shutil.copytree(workdir / "checkpoints", folder / "checkpoints", symlinks=True)
        (folder / "evaluation.json").write_text(
            json.dumps({"step": 4, "data": "digits", "split": "test", "top1": test})
        )
        found.append(folder)
    return found


def test_table_3_averages_the_runs_of_each_arm(tmp_path, arms, capsys):
    run("3", *arms, f"--out={tmp_path}/t3")
    (row,) = rows_of(tmp_path / "t3.json")
    assert (row["data"], row["runs"]) == ("digits", "1 + 2")
    assert row["values"]["without"] == pytest.approx(50)
    assert row["values"]["with"] == pytest.approx(80)
    assert row["values"]["difference"] == pytest.approx(30)
    assert row["values"]["sd with"] == pytest.approx(np.std([75, 85], ddof=1))
    assert row["missing"] == {"sd without": "one run"}


def test_a_split_that_was_not_evaluated_is_not_run(tmp_path, arms):
    for folder in arms:
        (folder / "evaluation.json").unlink()
    run("3", *arms, f"--out={tmp_path}/t3")
    run("2", *arms, f"--out={tmp_path}/t2")
    (row,) = rows_of(tmp_path / "t3.json")
    assert set(row["missing"].values()) == {"not run"}
    (row,) = rows_of(tmp_path / "t2.json")
    assert 0 <= row["values"]["with"] <= 100


@pytest.mark.parametrize(
    ("changed", "counts_in"),
    [
        ({"split": "test[:50]"}, ("2", "3")),
        ({"split": "test"}, ("3",)),
        ({"split": "train"}, ()),
        ({"split": "test[:50]", "subset": "imagenet_a"}, ()),
        ({"split": "test[:50]", "data": "other"}, ()),
    ],
)
def test_an_evaluation_counts_only_for_the_split_that_it_measured(tmp_path, arms, changed, counts_in):
    plain = arms[0]
    result = plain / "evaluation.json"
    content = json.loads(result.read_text())
    result.unlink()
    run("2", plain, f"--out={tmp_path}/logged")
    result.write_text(json.dumps(content | changed | {"top1": 0.125}))
    for name, otherwise in (("2", rows_of(tmp_path / "logged.json")[0]["values"]["without"]), ("3", None)):
        run(name, plain, f"--out={tmp_path}/t")
        (row,) = rows_of(tmp_path / "t.json")
        assert row["values"]["without"] == (12.5 if name in counts_in else otherwise)


def test_the_accuracy_of_some_classes_is_not_that_of_the_run(tmp_path, arms):
    result = arms[1] / "evaluation.json"
    for name, subset in (("all", {}), ("some", {"subset": "imagenet_a"})):
        result.write_text(json.dumps(json.loads(result.read_text()) | subset))
        run("s1", arms[1], f"--out={tmp_path}/{name}")
    (of_all,), (of_some,) = (rows_of(tmp_path / f"{name}.json") for name in ("all", "some"))
    assert of_all["values"]["top-1"] == 75 and of_some["values"]["top-1"] is None


def test_table_s4_has_both_splits_and_table_4_the_dense_tasks(tmp_path, arms):
    run("s4", *arms, f"--out={tmp_path}/s4")
    run("4", *arms, f"--out={tmp_path}/t4")
    assert [row["split"] for row in rows_of(tmp_path / "s4.json")] == ["validation", "test"]
    assert rows_of(tmp_path / "s4.json")[1]["missing"] == {"head-wise": "not run"}
    assert [row["Gaussian"] for row in rows_of(tmp_path / "t4.json")] == ["without", "with"]


def test_numbers_of_the_paper_stand_in_rows_of_their_own(tmp_path, monkeypatch):
    add_preset(monkeypatch, "vit_relpos_small_patch16_224", RELPOS)
    run("s1", "vit_relpos_small_patch16_224", f"--out={tmp_path}/s1")
    here, paper = rows_of(tmp_path / "s1.json")
    assert (here["from"], paper["from"]) == ("here", "paper")
    assert paper["values"]["R2"] == 0.784 and here["values"]["R2"] is None


def test_a_table_is_written_whoever_reads_the_output(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "say", unread)
    with pytest.raises(ReaderGoneError):
        run("s2", "tiny_plain", f"--out={tmp_path}/s2")
    assert all((tmp_path / f"s2.{suffix}").is_file() for suffix in ("csv", "md", "json"))


def test_a_workdir_may_have_an_equals_sign_in_its_path(tmp_path, workdir):
    (tmp_path / "lr=0.1").symlink_to(workdir)
    run("s3", tmp_path / "lr=0.1", f"--out={tmp_path}/s3")
    assert {row["model"] for row in rows_of(tmp_path / "s3.json")} == {"lr=0.1"}


def test_runs_in_folders_of_equal_names_are_told_apart(tmp_path, workdir):
    for arm in ("none", "gauss"):
        (tmp_path / arm).mkdir()
        (tmp_path / arm / "seed_0").symlink_to(workdir)
    run("s3", tmp_path / "none" / "seed_0", tmp_path / "gauss" / "seed_0", f"--out={tmp_path}/s3")
    assert {row["model"] for row in rows_of(tmp_path / "s3.json")} == {"none/seed_0", "gauss/seed_0"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs the number of a table"),
        (("5", "tiny_plain"), "there is no table '5'"),
        (("1",), "needs a model or a run"),
        (("1", "./nowhere"), "does not contain a run"),
        (("3", "tiny_plain"), "this table is of runs"),
        (("3", "tiny_plain", "--variant=code"), "changes tables 1 and s3, not 3"),
        (("s2", "tiny_plain", "--images=I"), "--images changes table s1, not s2"),
        (("1", "tiny_relpos", "--protocol=pre_norm"), "--protocol changes table s1, not 1"),
        (("1", "tiny_relpos", "--skip_bad"), "--skip_bad changes table s1, not 1"),
        (("2", "tiny_plain", "--out=gs://bucket/t2"), "in a bucket"),
        (("1", "tiny_relpos", "--workdir=W", "--model=M"), "--workdir and --model"),
    ],
)
def test_what_cannot_be_a_table_is_said_in_a_line(words, message):
    with pytest.raises(ConfigError, match=message):
        run(*words)

"""`evaluate` at other image sizes and crops: a line each, and the run's own size gives the run's own numbers."""

import dataclasses
import json
from pathlib import Path

import pytest

from gauss_vit import main as program
from gauss_vit.assembly.resolutions import Resolution, at_size, parse_size, resolutions
from gauss_vit.data.images.resize_to_fit import ResizeToFit
from gauss_vit.errors import ConfigError
from gauss_vit.position import QueryGaussian
from gauss_vit.position.position import Position
from tests.drawing import undrawn
from tests.tiny_config import get_config


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    """The JSON lines that `evaluate` writes to standard output."""
    with undrawn():
        assert program.main(["evaluate", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def test_every_size_is_a_line_and_the_own_one_gives_the_runs_numbers(workdir: Path, tmp_path: Path, capsys):
    (own,) = rows(capsys, f"--workdir={workdir}")
    kept = (workdir / "evaluation.json").read_text()
    found = rows(capsys, f"--workdir={workdir}", "--image_sizes=16x32,24,32x16")
    assert [row["image_size"] for row in found] == [[16, 32], [24, 24], [32, 16]]
    assert {name: found[0][name] for name in own} == own
    assert all((row["num_examples"], row["crop"]) == (50, 1.0) for row in found)
    assert len({row["loss"] for row in found}) == 3
    assert json.loads((workdir / "resolutions.json").read_text()) == {"resolutions": found}
    assert (workdir / "evaluation.json").read_text() == kept


def test_a_crop_alone_is_at_the_own_size(workdir: Path, capsys):
    (seen,) = rows(capsys, f"--workdir={workdir}", "--crop=0.5")
    assert (seen["image_size"], seen["crop"]) == ([16, 32], 0.5)
    (own,) = rows(capsys, f"--workdir={workdir}")
    assert seen["loss"] != own["loss"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--image_sizes=16x32,20", "20"),
        ("--image_sizes=large", "'large' is not an image size"),
        ("--image_sizes=16,", "'' is not an image size"),
        ("--crop=0", "crop_fraction must be in"),
        ("--crop=1.5", "crop"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_measured(workdir: Path, capsys, flag: str, message: str):
    assert program.main(["evaluate", f"--workdir={workdir}", flag]) == 2
    said = capsys.readouterr()
    assert message in said.err and not said.out


def test_what_the_flags_leave_open_is_the_experiments():
    shown = get_config()
    assert resolutions(shown, sizes=None, crop=0.5) == (Resolution(image_size=(16, 32), crop_fraction=0.5),)
    assert [each.crop_fraction for each in resolutions(shown, sizes="16,24", crop=None)] == [1.0, 1.0]
    own = Resolution(image_size=(16, 32), crop_fraction=1.0)
    assert own.of(shown) == shown
    assert own.of(dataclasses.replace(shown, seed=3)).seed == 3


def test_gaussians_of_queries_stay_relative_to_the_grid_that_they_were_trained_on():
    position = Position(query_gaussian=QueryGaussian())
    model = dataclasses.replace(get_config().model, position=position)
    larger = at_size(model, (64, 64))
    assert larger.image_size == (64, 64)
    assert larger.position.query_gaussian == QueryGaussian(reference=model.grid)
    assert at_size(model, model.image_size) == model
    named = dataclasses.replace(model, position=Position(query_gaussian=QueryGaussian(reference=(3, 3))))
    assert at_size(named, (64, 64)).position == named.position


def test_whole_images_have_sizes_of_their_own():
    data = dataclasses.replace(get_config().data, eval_transform=ResizeToFit())
    whole = dataclasses.replace(get_config(), data=data)
    for refused in (
        lambda: resolutions(whole, sizes="16x32", crop=None),
        lambda: Resolution(image_size=(16, 32), crop_fraction=0.9).of(whole),
    ):
        with pytest.raises(ConfigError, match=r"ResizeToFit evaluates whole images.*leave out --image_sizes"):
            refused()


@pytest.mark.parametrize("text", ["", "0", "16x", "16x16x16", "-16", "16.0", "99999"])
def test_a_size_is_one_or_two_numbers_of_pixels(text: str):
    with pytest.raises(ConfigError, match="is not an image size"):
        parse_size(text)

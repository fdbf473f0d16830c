"""The `movie` verb plays what a run has written, and says what is missing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauss_vit import main as program


def test_finished_run_becomes_a_movie(workdir: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    out = tmp_path / "run.gif"
    assert program.main(["movie", str(workdir), f"--out={out}", "--fps=2"]) == 0
    assert "1 steps from 4 to 4" in capsys.readouterr().out
    with Image.open(out) as found:
        assert found.format == "GIF"


def test_movie_has_a_picture_for_every_step(workdir: Path, tmp_path: Path):
    run = tmp_path / "run"
    for folder, ending in (("erf", ".npz"), ("position", "_position.npz")):
        (run / folder).mkdir(parents=True)
        content = (workdir / folder / f"step_0000004{ending}").read_bytes()
        for step in (2, 10):
            (run / folder / f"step_{step:07d}{ending}").write_bytes(content)
    assert program.main(["movie", f"--workdir={run}"]) == 0
    with Image.open(run / "erf.gif") as found:
        assert found.n_frames == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "takes one run and got 0"), (["nowhere"], "nowhere is not a folder"), (["."], "has no observations")],
)
def test_nothing_to_play_is_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert program.main(["movie", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arrays", [{"erf": np.ones((2, 2))}, {"values": np.ones(2)}, None])
def test_damaged_observations_are_named(arrays: dict | None, tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "erf").mkdir()
    path = tmp_path / "erf" / "step_0000001.npz"
    if arrays is None:
        path.write_bytes(b"PK\x03\x04 torn")
    else:
        np.savez(path, allow_pickle=False, **arrays)
    assert program.main(["movie", str(tmp_path)]) == 3
    assert path.name in capsys.readouterr().err

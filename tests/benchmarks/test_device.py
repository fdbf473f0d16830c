"""The plan for a borrowed accelerator: its order, its time boxes, and what stays on the disk."""

import dataclasses
import json
import sys
import time
from pathlib import Path

import pytest

from benchmarks import device
from benchmarks.device_plan import PLAN, Check, filled, named
from benchmarks.process import expects_accelerator

QUICK = Check(name="quick", question="", command=(), box_s=20.0, least_s=0.1)
ANSWER = "import sys; print('said'); open(sys.argv[-1].partition('=')[2], 'w').write('{}')"


def words_of(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_check_leaves_its_record_and_its_log(tmp_path: Path):
    answer = device.run(QUICK, words_of(ANSWER), place=1, folder=tmp_path, seconds=20)
    assert (answer.outcome, answer.last) == ("answered", ("said",))
    assert (tmp_path / "1_quick.json").read_text() == "{}"


def test_a_check_that_takes_too_long_is_cut_off_with_its_children(tmp_path: Path):
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {'import time; time.sleep(60)'!r}])"
    begin = time.monotonic()
    answer = device.run(QUICK, words_of(f"print('begun', flush=True); {child}"), place=1, folder=tmp_path, seconds=2)
    assert answer.outcome == "cut off" and answer.last == ("begun",)
    assert time.monotonic() - begin < 15


def test_a_check_that_fails_says_why(tmp_path: Path):
    answer = device.run(QUICK, words_of("raise SystemExit('no kernel')"), place=1, folder=tmp_path, seconds=20)
    assert (answer.outcome, answer.last) == ("failed", ("no kernel",))


def test_what_has_no_time_left_is_listed_and_not_begun(tmp_path: Path):
    checks = [dataclasses.replace(QUICK, least_s=3600.0), dataclasses.replace(QUICK, least_s=3600.0)]
    answers = device.run_plan(checks, folder=tmp_path, minutes=1, peer=None, photos=tmp_path)
    assert [answer.outcome for answer in answers] == ["no time", "no time"]
    assert [each["outcome"] for each in json.loads((tmp_path / "summary.json").read_text())] == ["no time", "no time"]


def test_what_needs_a_peer_is_left_out_without_one(tmp_path: Path):
    (erf,) = named(["erf"])
    (answer,) = device.run_plan([erf], folder=tmp_path, minutes=9, peer=None, photos=tmp_path)
    assert answer.outcome == "no peer"


def test_a_command_without_a_peer_asks_for_none():
    for check in PLAN:
        alone = filled(check, python="python", peer=None, photos="PHOTOS", cores=4)
        assert not [word for word in alone if "peer" in word or "{" in word]
        beside = filled(check, python="python", peer="PEER", photos="PHOTOS", cores=4)
        assert not [word for word in beside if "{" in word]


def test_the_most_valuable_checks_come_first():
    names = [check.name for check in PLAN]
    assert names[:4] == ["attention", "train_small", "train_medium", "train_base"]
    assert [check.name for check in named(["resume", "attention"])] == ["attention", "resume"]
    assert all(check.least_s < check.box_s for check in PLAN)


def test_an_unknown_check_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown check 'atention'; choose from attention, train_small"):
        named(["atention"])


def test_noise_photos_are_jpeg_files_and_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(device, "NUM_PHOTOS", 2)
    first, second = (sorted(device.noise_photos(tmp_path / name).iterdir()) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert all(path.read_bytes()[:2] == b"\xff\xd8" for path in first)


def test_no_accelerator_is_expected_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not expects_accelerator()

"""A few altered files of every kind; `python -m tests.mutated_inputs` reads a thousand of each."""

from pathlib import Path

from tests.mutated_inputs import endings, kinds


def test_altered_files_are_read_or_refused_in_time(tmp_path: Path):
    for name, ended in endings(40, seed=1, folder=tmp_path).items():
        assert not ended.keys() - {"read", "refused"}, name


def test_sound_files_are_read(tmp_path: Path):
    for kind in kinds():
        path = tmp_path / kind.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kind.content)
        kind.read(path)

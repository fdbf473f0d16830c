"""Everything of a workdir that must be the same to the last bit, however the run was interrupted."""

from pathlib import Path

from gauss_vit.train.checkpoint.metadata import Record
from gauss_vit.train.checkpoint.reader import read_record, saved_steps


def trace_of(workdir: Path) -> tuple[str, str, Record]:
    """Reads metrics.jsonl, metrics.csv, and the record of the newest checkpoint with the fingerprints of its arrays."""
    record = read_record(workdir, max(saved_steps(workdir)))
    return (workdir / "metrics.jsonl").read_text(), (workdir / "metrics.csv").read_text(), record

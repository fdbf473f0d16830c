"""How the structure of a timm model is recorded: a digest of the names and shapes of its parameters."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

RECORD = Path(__file__).with_name("timm_structure.json")
"""Digests of timm 1.0.31 for 1,000 classes, by the model's name."""

_NUMBER = re.compile(r"\d+")


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Computes 16 hexadecimal digits from the sorted lines `name shape`."""
    lines = sorted(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def summary(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Lists names and shapes for people, equal ones of several layers on one line with their number."""
    patterns = (f"{_NUMBER.sub('*', name)} {'x'.join(map(str, shape))}" for name, shape in sorted(shapes.items()))
    return "\n".join(f"{pattern} ({count})" for pattern, count in Counter(patterns).items())

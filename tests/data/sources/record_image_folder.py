"""Records torchvision's order of a folder, and the paper's split: `python -m tests.data.sources.record_image_folder`.

Needs torch and torchvision 0.28. The names are chosen to tell byte order from other orders.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from torchvision.datasets import ImageFolder

NAMES = [
    "b/2.jpg", "b/10.jpg", "b/1.JPG", "b/_.png", "b/z.webp", "b/notes.txt", "B/x.jpeg", "B/X.jpeg", "a b/é.jpg",
    "a b/e.jpg", "a b/z.jpg", "a/deep/2.jpg", "a/deep/1.jpg", "a/deep b/0.jpg", "a/deep-er/0.jpg", "a/9.jpg",
    "a/d.jpg", "ä/1.jpg", "10/a.jpg", "9/a.jpg", "9/b.jpg",
]  # fmt: skip


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in NAMES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        found = ImageFolder(str(root), loader=str)
        files = [str(Path(path).relative_to(root)) for path, _ in found.samples]
        labels = [label for _, label in found.samples]
    np.random.seed(0)
    indices = list(range(len(files)))
    np.random.shuffle(indices)
    num_train, num_rest = int(0.7 * len(files)), int(0.15 * len(files))
    parts = {
        "train": indices[:num_train],
        "validation": indices[num_train : num_train + num_rest],
        "test": indices[num_train + num_rest : num_train + 2 * num_rest],
    }
    record = {"names": NAMES, "classes": found.classes, "files": files, "labels": labels, "paper": parts}
    out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("image_folder.json"))

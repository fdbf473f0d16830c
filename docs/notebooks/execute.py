"""Executes the notebook beside this file in place, from the root of the repository.

    pip install nbclient ipykernel && python docs/notebooks/execute.py

Warnings on standard error and times of execution are left out, so that only results differ.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = Path(__file__).with_name("digits_to_receptive_field.ipynb")


def main() -> None:
    """Runs every cell, and stores what it shows."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(ROOT)}}, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, NOTEBOOK)
    sys.stdout.write(f"executed {NOTEBOOK.name}\n")


if __name__ == "__main__":
    main()

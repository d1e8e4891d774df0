#!/usr/bin/env python3
"""Executes the notebooks and compares what they print with the outputs that stand in them.

    notebooks/check.py [--update] [NOTEBOOK…]

Texts must be the same but for white space, numbers within 1e-9 of each other; figures are not compared, nor are cells with the tag `varies`, whose
numbers depend on the machine. `--update` writes the outputs into the notebooks. One that imports torch is left out, and named, where torch is not installed.
"""

import argparse
import importlib.util
import pathlib
import re
import sys

import nbclient
import nbformat

HERE = pathlib.Path(__file__).resolve().parent
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
LARGEST = 200_000  # bytes of a notebook


def texts(cell):
    """What a cell shows as text, without figures."""
    parts = []
    for output in cell.get("outputs", []):
        if "text" in output:
            parts.append(output["text"])
        elif "image/png" not in output.get("data", {}):
            parts.append(output.get("data", {}).get("text/plain", ""))
    return "\n".join(parts)


def difference(old, new):
    """The first place where two texts differ, or None."""
    found, expected = ([(NUMBER.sub("#", text).split(), NUMBER.findall(text)) for text in (new, old)])
    if found[0] != expected[0]:
        place = next((i for i, (a, b) in enumerate(zip(found[0], expected[0])) if a != b), min(len(found[0]), len(expected[0])))
        return f"it shows {' '.join(found[0][place:place + 8])!r} where {' '.join(expected[0][place:place + 8])!r} stands"
    for a, b in zip(found[1], expected[1]):
        x, y = float(a.replace("−", "-")), float(b.replace("−", "-"))
        if abs(x - y) > 1e-9 * max(abs(x), abs(y)):
            return f"it shows {a} where {b} stands"
    return None


def check(path, update):
    """Executes one notebook; returns what is wrong with it."""
    notebook = nbformat.read(path, 4)
    before = [texts(cell) for cell in notebook.cells]
    client = nbclient.NotebookClient(notebook, timeout=300, record_timing=False, resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        return [str(error)]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    if update:
        notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
        nbformat.write(notebook, path)
    wrong = [f"has {path.stat().st_size} bytes, more than {LARGEST}"] if path.stat().st_size > LARGEST else []
    if update:
        return wrong
    for number, (cell, old) in enumerate(zip(notebook.cells, before)):
        if cell.cell_type == "code" and "varies" not in cell.metadata.get("tags", []):
            if found := difference(old, texts(cell)):
                wrong.append(f"cell {number}: {found}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write the outputs into the notebooks")
    parser.add_argument("notebooks", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    failed = False
    for path in arguments.notebooks or sorted(HERE.glob("*.ipynb")):
        if "import torch" in path.read_text() and importlib.util.find_spec("torch") is None:
            print(f"{path.name}: not run, torch is not installed")
            continue
        wrong = check(path.resolve(), arguments.update)
        failed |= bool(wrong)
        print(f"{path.name}: {'; '.join(wrong) or ('written' if arguments.update else 'as it stands')}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

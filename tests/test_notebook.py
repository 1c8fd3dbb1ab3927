"""The notebook of the docs runs from its first cell to its last, in a kernel of its own."""

import os
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.slow
def test_the_notebook_ends_with_an_answer(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]))
    notebook = nbformat.read(ROOT / "docs" / "first_model.ipynb", as_version=4)
    assert len(notebook.cells) == 10
    nbclient.NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = "".join(out.get("text", "") for out in notebook.cells[-1].outputs)
    assert "16/16 identical" in said
    assert float(re.search(r"([\d.]+) % of the validation pictures", said)[1]) > 90
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
    assert len(pictures) == 3 and (tmp_path / "runs" / "notebook" / "export" / "comparison.png").exists()

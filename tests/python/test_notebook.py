"""examples/python/parallel_inference.ipynb runs from its first cell to its last."""

import os
import re

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

NOTEBOOK = ROOT / "examples/python/parallel_inference.ipynb"


@pytest.fixture
def executed(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("TOOLPOOL_NOTEBOOK_MODEL", tiny_model)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": os.fspath(tmp_path)}}
    ).execute()
    return notebook


def test_it_runs_and_draws(executed):
    printed = "".join(
        output.get("text", "") for cell in executed.cells for output in cell.get("outputs", [])
    )
    assert "one matrix: (40, 40) float32" in printed
    assert "1 of 3 items failed; item 1 on cpu: " in printed
    assert "20 of 100 computed" in printed and "100 of 100 computed" in printed
    assert len(re.findall(r"run: [\d.]+ s, of which loading on both slots [\d.]+ s", printed)) == 2
    plots = [
        output
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(plots) == 1


def test_it_has_the_six_sections_of_the_guide_and_was_committed_executed():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    sections = [
        cell.source.splitlines()[0] for cell in notebook.cells if cell.source.startswith("## ")
    ]
    assert [section[3] for section in sections] == list("123456")
    assert all(
        cell.outputs or "print" not in cell.source
        for cell in notebook.cells
        if cell.cell_type == "code"
    )
    assert any("image/png" in str(cell.get("outputs", [])) for cell in notebook.cells)

"""Bars are drawn of what is so; where rich is not, the error says how to get it."""

import re
import sys

import pytest
from toolpool import Echo, InvalidArgument, PythonTool, _progress


def test_bars_show_all_and_each_device(pool, drawn):
    results = pool.run(Echo(), [f"{n}" for n in range(100)], progress=True)
    assert results.ok
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn.getvalue())  # without colours
    assert "all" in text and "100/100" in text
    shares = [slot["items"] for slot in results.report.figures["slots"]]
    for slot, share in enumerate(shares):
        assert re.search(rf"cpu #{slot} .* {share}/{share} ", text)


def test_bars_count_failures(pool, drawn):
    pool.run(
        PythonTool(lambda items: [ValueError("no") if item == 3 else b"" for item in items]),
        list(range(50)),
        progress=True,
    )
    assert "1 failed" in drawn.getvalue()


def test_a_slots_items_add_up(pool):
    job = pool.submit(Echo(), [f"{n}" for n in range(100)])
    job.wait()
    assert sum(slot["items"] for slot in job.report().figures["slots"]) == 100


def test_slots_have_numbers_where_several_are_on_one_device():
    assert _progress._labels(["cuda:0", "cpu", "cpu"]) == ["cuda:0", "cpu #1", "cpu #2"]


def test_notes_say_what_is_known():
    assert _progress._note(0, None) == ""
    assert _progress._note(2, 61.4) == "61 s left 2 failed"


def test_without_rich_the_error_says_how_to_get_it(pool, monkeypatch):
    for name in [name for name in sys.modules if name == "rich" or name.startswith("rich.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InvalidArgument, match="pip install"):
        pool.run(Echo(), ["a"], progress=True)
    assert pool.run(Echo(), ["a"]).ok

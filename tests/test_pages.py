"""The programs of docs/c.md and docs/cpp.md compile, run, and print what the pages say."""

import os
import re

import pytest
from programs import ROOT, compiled, hub_cache, run_on_one_worker


def programs_of(language):
    """The programs of a page, and what the page says they print, if it does."""
    text = (ROOT / f"docs/{language}.md").read_text()
    found = re.findall(rf"```{language}\n(.*?)```\n(?:\n```text\n(.*?)```)?", text, re.DOTALL)
    assert len(found) >= 3
    return [pytest.param(language, *pair, id=f"{language}-{n}") for n, pair in enumerate(found)]


@pytest.mark.parametrize(
    ("language", "program", "printed"), [*programs_of("c"), *programs_of("cpp")]
)
def test_a_program_of_the_page_prints_what_it_says(language, program, printed, tmp_path):
    model = os.environ.get("TOOLPOOL_TEST_TINY_MODEL")
    if "esm2" in program and not model:
        pytest.skip("TOOLPOOL_TEST_TINY_MODEL is not set; scripts/test python sets it")
    source = tmp_path / f"page.{language}"
    source.write_text(program)
    cache = hub_cache(tmp_path, model) if model else tmp_path
    output = run_on_one_worker([compiled(tmp_path, source)], HF_HUB_CACHE=cache)
    assert output == printed if printed else output


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_the_first_program_is_the_example(language):
    [_, program, _] = programs_of(language)[0].values
    assert program == (ROOT / f"examples/{language}/embed.{language}").read_text()

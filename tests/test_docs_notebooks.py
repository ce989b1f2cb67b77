"""Notebooks of the tutorials: what they hold. `tests/examples` runs them."""

import ast
import json
from pathlib import Path

import pytest

from tests.notebooks import script

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    path.name: path.read_text()
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.md"))
    if "\nexamples/" in path.read_text()
}


@pytest.fixture
def module():
    return script()


def cells(module, name):
    return json.loads(module.notebooks()[name])["cells"]


def code_of(cells):
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_every_tutorial_with_an_example_is_a_notebook_without_outputs(module):
    found = module.notebooks()
    assert {f"{name}.md" for name in found} == set(EXAMPLES) and len(found) > 5
    for text in found.values():
        content = json.loads(text)
        assert (content["nbformat"], content["nbformat_minor"]) == (4, 4)
        for cell in content["cells"]:
            assert cell["metadata"] == {} and cell["source"]
            assert cell["cell_type"] == "markdown" or cell["outputs"] == []


@pytest.mark.parametrize("page", EXAMPLES)
def test_no_statement_of_the_example_is_lost(page, module):
    (example,) = module.INCLUDED.findall(EXAMPLES[page])
    program = ast.parse((ROOT / example).read_text())
    docstring, *statements = program.body
    assert isinstance(docstring, ast.Expr)
    if isinstance(statements[-1], ast.If):
        statements[-1:] = statements[-1].body
    program.body = statements
    code = "\n".join(code_of(cells(module, page.removesuffix(".md"))))
    assert ast.dump(ast.parse(code)) == ast.dump(program)


@pytest.mark.parametrize("page", EXAMPLES)
def test_prose_has_no_links_that_a_notebook_cannot_follow(page, module):
    found = cells(module, page.removesuffix(".md"))
    prose = "".join("".join(c["source"]) for c in found if c["cell_type"] == "markdown")
    assert prose.startswith("# ") and ".md" not in prose and "--8<--" not in prose


def test_comments_stay_with_the_statement_after_them(module):
    source = '"""Doc."""\n\nimport a\n\n# of b\nb = 1\n\n\n# of f\ndef f():\n    pass\n\n\nc = 2\n'
    assert list(module.code_cells(source)) == [
        "import a\n\n# of b\nb = 1",
        "# of f\ndef f():\n    pass",
        "c = 2",
    ]


def test_a_condition_that_is_not_the_programs_own_part_stops_the_build(module):
    with pytest.raises(ValueError, match="if a: pass"):
        list(module.code_cells("if a: pass"))
    with pytest.raises(ValueError, match="includes 0 examples"):
        module.notebook("# Title")

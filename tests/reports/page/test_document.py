"""Files of the page: where the bundled script comes from, and that its notices are complete."""

from importlib import metadata, resources

import pytest

from mnas.reports.page import document


def file(name: str) -> str:
    return resources.files(document.PACKAGE).joinpath(name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_bundled_script_is_what_vl_convert_makes():
    vl_convert = pytest.importorskip("vl_convert")
    if metadata.version("vl-convert-python") != "1.9.0.post1":
        pytest.skip("the bundle is that of vl-convert-python 1.9.0.post1")
    assert vl_convert.javascript_bundle(document.SNIPPET) == file("vega.js")


def test_scripts_cannot_end_their_elements():
    for name in document.SCRIPTS:
        assert "</script" not in file(name) and "<!--" not in file(name)


def test_notices_name_the_bundled_libraries():
    notices = file("vega.LICENSES.txt")
    for name in ("Vega-Lite", "vega-embed", "D3", "TopoJSON", "fast-json-patch"):
        assert name in notices
    assert "*/" not in notices  # They are a comment of the page.

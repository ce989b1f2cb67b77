"""Hooks of MkDocs: pages and figures that are generated from mnas when the site is built.

    reference/command-line.md    from the verbs' own `--help`
    concepts/reward-FORM.svg     from `mnas.reward`
    tutorials/NAME.ipynb         from the tutorials and their examples
    contributing.md, security.md, changelog.md    the files of the repository's root

The API reference reads a copy of the package as it installs, where the folders of instances are
subpackages of mnas.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import command_line
import notebooks
import reward_plots
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
ROOT_PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}


class _Tree:
    """Temporary directory with the package as it installs, for one build."""

    directory: tempfile.TemporaryDirectory | None = None


@event_priority(100)  # before mkdocstrings reads its settings
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show the API reference where the package's modules are."""
    if _Tree.directory is None:
        _Tree.directory = tempfile.TemporaryDirectory(prefix="mnas-docs-")
    place = Path(_Tree.directory.name) / "mnas"
    shutil.rmtree(place, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "mnas", place, ignore=ignored)
    for folder in ("search_spaces", "controllers", "experiments"):
        shutil.copytree(ROOT / folder, place / folder, ignore=ignored)
    handlers: Any = config.plugins["mkdocstrings"].config["handlers"]
    handlers["python"]["paths"] = [str(place.parent)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated files."""
    generated: dict[str, str | bytes] = {"reference/command-line.md": command_line.page()}
    for form, image in reward_plots.plots().items():
        generated[f"concepts/reward-{form}.svg"] = image
    for name, notebook in notebooks.notebooks().items():
        generated[f"tutorials/{name}.ipynb"] = notebook
    for source, page in ROOT_PAGES.items():
        generated[page] = relinked((ROOT / source).read_text(encoding="utf-8"))
    for path, content in generated.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let a tutorial offer its notebook, below the title."""
    path = Path(page.file.src_uri)
    if files.get_file_from_path(path.with_suffix(".ipynb").as_posix()) is None:
        return markdown
    title, _, text = markdown.partition("\n")
    return f"{title}\n\n[Download this page as a notebook]({path.stem}.ipynb)\n{text}"


def relinked(text: str) -> str:
    """Return a page of the repository's root with its links as those of the site."""
    for source, page in ROOT_PAGES.items():
        text = text.replace(f"]({source})", f"]({page})")
    return re.sub(r"\]\(docs/", "](", text)


def on_shutdown() -> None:
    """Remove the copy of the package."""
    if _Tree.directory is not None:
        _Tree.directory.cleanup()
        _Tree.directory = None

"""Text of files and processes is UTF-8, whatever the locale of the user's shell."""

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("mnas", "controllers", "search_spaces", "experiments")
MODES = 1  # index of the argument of `open` and the like; text is the default


def sources():
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def reads_or_writes_text(call: ast.Call) -> bool:
    """Return whether a call opens a text file, or a process whose streams are text."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("read_text", "write_text"):
        on_path = isinstance(call.func, ast.Attribute)
        return on_path and ast.unparse(call.func.value) != "files"  # our own, always UTF-8
    if name in ("Popen", "run", "check_output"):
        return "text" in keywords or "universal_newlines" in keywords
    if name in ("TemporaryFile", "NamedTemporaryFile"):  # binary by default
        return bool(call.args) and "b" not in ast.unparse(call.args[0])
    if name not in ("open", "fdopen"):
        return False
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if owner in ("Image", "LatencyTable", "os") and name == "open":
        return False  # not of a text file
    # `path.open(mode)` and `open(path, mode)`
    position = 0 if name == "open" and owner and owner not in ("io", "gzip", "codecs") else MODES
    mode = keywords.get("mode") or (call.args[position] if len(call.args) > position else None)
    if owner == "gzip" and mode is None:
        return False
    return mode is None or (isinstance(mode, ast.Constant) and "b" not in str(mode.value))


def test_every_text_file_and_process_names_its_encoding():
    unnamed = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and reads_or_writes_text(node)
        and "encoding" not in {keyword.arg for keyword in node.keywords}
    ]
    assert unnamed == []


def test_the_check_knows_text_from_bytes():
    def found(text: str) -> bool:
        return reads_or_writes_text(ast.parse(text, mode="eval").body)

    text = "open(p); open(p, 'w'); p.read_text(); p.open(); run(c, text=True); TemporaryFile('w')"
    binary = "open(p, 'rb'); p.open('wb'); gzip.open(p); os.open(p, 0); run(c); TemporaryFile()"
    assert all(map(found, text.split("; ")))
    assert not any(map(found, binary.split("; ")))


def test_a_run_in_an_ascii_locale_writes_the_files_of_any_other(tmp_path):
    environment = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "mnas", "search", "b0-imagenet", "--out", "µ"]
    command += ["--search.trials", "4", "--search.batch", "4"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"in ??" in done.stderr  # UTF-8 bytes of a name that ASCII can't print
    report = (tmp_path / "µ" / "report.html").read_bytes()
    assert "×" in report.decode("utf-8")

"""What is sent to browsers besides pages: small, ours or licensed, and packaged."""

from __future__ import annotations

import gzip
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import mlgit.server

HERE = Path(mlgit.server.__file__).parent
FILES = [path for path in sorted((HERE / "static").rglob("*")) if path.is_file()]
TEMPLATES = sorted((HERE / "templates").rglob("*.html"))


def test_all_scripts_and_styles_are_small() -> None:
    sent = [path for path in FILES if path.suffix in (".js", ".css")]
    assert len(sent) >= 8
    assert sum(len(gzip.compress(path.read_bytes())) for path in sent) < 500_000


def test_what_others_wrote_has_its_licence() -> None:
    vendor = HERE / "static" / "vendor"
    for folder in vendor.iterdir():
        assert "MIT" in (folder / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_files_are_served_as_what_they_are(client: FlaskClient, path: Path) -> None:
    at = client.application.static_url_path
    answer = client.get(f"{at}/{path.relative_to(HERE / 'static')}")
    assert answer.status_code == 200 and answer.data == path.read_bytes()
    kinds = {".js": "javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert kinds.get(path.suffix, "") in answer.mimetype
    # Its address is of this content, also where a module imports it: nobody asks twice.
    assert answer.cache_control.max_age == 31_536_000
    assert f'href="{at}/style.css"' in client.get("/").text


@pytest.mark.parametrize("path", [*TEMPLATES, *FILES], ids=lambda p: p.name)
def test_nothing_is_loaded_from_elsewhere_nor_inline(path: Path) -> None:
    if "vendor" in path.parts or path.suffix not in (".html", ".js", ".css"):
        return
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(\"?https?:", text)
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style", text)
        assert "|safe" not in text


def test_every_module_is_there_that_another_imports() -> None:
    for path in FILES:
        if path.suffix == ".js" and "vendor" not in path.parts:
            for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8")):
                assert (path.parent / name).is_file(), f"{path.name} imports {name}"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_templates_and_files_are_packaged() -> None:
    import tomllib

    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["mlgit.server"]
    for path in [*TEMPLATES, *FILES]:
        name = str(path.relative_to(HERE))
        assert any(fnmatch(name, pattern.replace("**/*", "*")) for pattern in patterns), name

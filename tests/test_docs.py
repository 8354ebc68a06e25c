"""The documentation is read and run: links lead somewhere, examples work, nothing is left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme, f"{page.name} isn't linked from the README"


def test_every_variable_is_documented() -> None:
    settings = (ROOT / "mlgit" / "settings.py").read_text(encoding="utf-8")
    tracking = (ROOT / "docs" / "tracking.md").read_text(encoding="utf-8")
    for name in re.findall(r'"(MLGIT_[A-Z_]+)"', settings):
        assert name in tracking, f"{name} isn't in docs/tracking.md"


def test_the_examples_of_the_tracking_page_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tracking.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "forest"


def test_the_signatures_of_the_models_page_are_what_it_says() -> None:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    part = text.split("\n## Signatures and examples\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said = re.findall(r"^# (.*)$", block, re.MULTILINE)
        assert not said or done.stdout.splitlines() == said


def test_the_filters_of_the_search_page_parse() -> None:
    from mlgit.store.filters import parse_filter

    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    filters = re.findall(r'filter_string="([^"]+)"', text)
    assert len(filters) >= 3
    for expression in filters:
        assert parse_filter(expression) is not None


def test_ci_calls_the_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nsh tests/run.sh " in readme
    assert "\nsh tests/run.sh\n" in ci


def test_the_project_speaks_of_itself_alone() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in tracked:
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        assert "/wo" + "rk/" not in text, name
        assert "hel" + "per session" not in text, name


def _masked(text: str) -> list[str]:
    """Lines of output, without what differs each time: ids, times, places and widths."""
    text = re.sub(r"\b[0-9a-f]{7,10}\b", "ID", text)
    text = re.sub(r"just now|\d+ (?:second|minute)s? ago|in \d+(\.\d)?s|\d+ equal", "TIME", text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_tour_of_the_readme_is_real(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = readme.split("## Two minutes")[1].split("\n## ")[0]
    repo, commands = tmp_path / "repo", tmp_path / "bin"
    repo.mkdir()
    commands.mkdir()
    for name, started in (("mlgit", "-m mlgit"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {started} "$@"\n')
        (commands / name).chmod(0o755)
    identity = {f"GIT_{w}_{k}": "a@b" for w in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
    env = {
        **os.environ,
        **identity,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    for kind, block in re.findall(r"```(python|console)\n(.*?)```", tour, re.DOTALL):
        if kind == "python":
            name, _, program = block.removeprefix("# ").partition("\n")
            (repo / name).write_text(program)
            continue
        for step in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            done = subprocess.run(
                ["sh", "-c", step[0]], cwd=repo, env=env, capture_output=True, check=False
            )
            assert done.returncode == 0, (step[0], done.stderr.decode())
            if step[1].strip():
                assert _masked(done.stdout.decode()) == _masked(step[1]), step[0]

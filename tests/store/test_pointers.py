"""Pointer files: what is written reads back, and nothing else is believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import CorruptData, InvalidParameterValue, Unsupported
from mlgit.git import Repository
from mlgit.objects import Entry
from mlgit.store.pointers import (
    Pointer,
    check_data_name,
    find_pointers,
    format_pointer,
    is_pointer,
    parse_pointer,
)

SHA = "3a7b" * 16
GOOD = f"format: 1\npath: data\nkind: d\nsha256: {SHA!r}\nsize: 12\nfiles: 3\n"


def _allowed(name: str) -> bool:
    try:
        check_data_name(name)
    except InvalidParameterValue:
        return False
    return True


names = st.binary(min_size=1, max_size=40).map(os.fsdecode).filter(_allowed)
shas = st.text("0123456789abcdef", min_size=64, max_size=64)
sizes = st.integers(0, (1 << 63) - 1)
entries = st.one_of(
    st.builds(Entry, st.sampled_from("fx"), shas, sizes, st.just(1)),
    st.builds(Entry, st.just("d"), shas, sizes, sizes),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
origins = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"url": texts}, optional={"etag": texts, "size": sizes}),
)


@given(st.builds(Pointer, names, entries, origins))
def test_what_is_written_reads_back(pointer: Pointer) -> None:
    name = f"deep/folder/{pointer.path}.mlgit"
    assert parse_pointer(format_pointer(pointer), name) == pointer


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pointer_or_an_error(data: bytes) -> None:
    for text in (data, GOOD.encode() + data, data + GOOD.encode()):
        try:
            found = parse_pointer(text, "data.mlgit")
        except (CorruptData, Unsupported):
            continue
        assert found.path == "data"


@given(names, st.sampled_from(["path", "kind", "sha256", "size", "files", "format"]), texts)
def test_a_key_of_another_value_is_refused(name: str, key: str, value: str) -> None:
    text = format_pointer(Pointer(name, Entry("d", SHA, 1, 1))).decode()
    lines = [line for line in text.splitlines() if not line.startswith(f"{key}:")]
    data = ("\n".join([*lines, f"{key}: ={value!r}"]) + "\n").encode()
    with pytest.raises(CorruptData):
        parse_pointer(data, f"{name}.mlgit")


@pytest.mark.parametrize(
    "path",
    ["../data", "/etc/passwd", "..", ".", "a/b", "a%00b", "%2E%2E", "%2Fetc", ".git", ".GIT",
     "git~1", ".g\\u200cit", ".git ", "C:data", "a\\\\b", "", "x.mlgit", ".mlgit", "other"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(CorruptData):
        parse_pointer(GOOD.replace("path: data", f'path: "{path}"').encode(), "data.mlgit")


@pytest.mark.parametrize(
    "change",
    [
        ("kind: d", "kind: l"),
        ("kind: d", "kind: f"),  # 3 files
        (SHA, SHA[:-1]),
        (SHA, SHA.upper()),
        ("size: 12", "size: -1"),
        ("size: 12", "size: true"),
        ("size: 12", "size: 9223372036854775808"),
        ("files: 3", "files: three"),
        ("format: 1", "format: '1'"),
        ("format: 1", "format: true"),
        ("format: 1", "version: 1"),
        ("files: 3\n", "files: 3\norigin: {etag: x}\n"),
        ("files: 3\n", "files: 3\norigin: {url: x, etag: [1]}\n"),
        ("format: 1", "format: 1\nx: !!python/object/apply:os.getcwd []"),
    ],
)
def test_values_that_make_no_sense_are_refused(change: tuple[str, str]) -> None:
    parse_pointer(GOOD.encode(), "data.mlgit")
    with pytest.raises(CorruptData):
        parse_pointer(GOOD.replace(*change).encode(), "data.mlgit")


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="format 2"):
        parse_pointer(GOOD.replace("format: 1", "format: 2").encode(), "sub/data.mlgit")


def test_a_merge_conflict_is_told() -> None:
    text = "<<<<<<< HEAD\n" + GOOD + "=======\n" + GOOD + ">>>>>>> other\n"
    with pytest.raises(CorruptData, match="merge") as caught:
        parse_pointer(text.encode(), "data.mlgit")
    assert "--theirs" in caught.value.hint


def test_a_huge_file_is_not_parsed() -> None:
    with pytest.raises(CorruptData, match="too large"):
        parse_pointer(b"#" * (1 << 20), "data.mlgit")


def test_pointers_of_a_tree(repo_dir: Path, git: Any) -> None:
    def write(path: str, name: str) -> None:
        file = repo_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(format_pointer(Pointer(name, Entry("f", SHA, 1))))

    write("a.mlgit", "a")
    write("sub/deep/b.mlgit", "b")
    write("copy/deep/b.mlgit", "b")  # the same tree at two places
    write(".mlgit/experiments/x/c.mlgit", "c")  # a run's record holds no pointers
    (repo_dir / "link.mlgit").symlink_to("a.mlgit")
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "data")
    repo = Repository.open(str(repo_dir))
    tree = git(repo_dir, "rev-parse", "HEAD^{tree}")
    known: dict[str, Any] = {}
    for _ in range(2):
        found = find_pointers(repo, tree, known=known)
        assert sorted(found) == ["a.mlgit", "copy/deep/b.mlgit", "sub/deep/b.mlgit"]
    assert found["sub/deep/b.mlgit"].path == "b"
    (repo_dir / "bad.mlgit").write_text("format: 1\n")
    git(repo_dir, "add", ".")
    git(repo_dir, "commit", "-qm", "bad")
    tree = git(repo_dir, "rev-parse", "HEAD^{tree}")
    with pytest.raises(CorruptData, match=r"bad\.mlgit"):
        find_pointers(repo, tree)
    problems: list[Any] = []
    assert len(find_pointers(repo, tree, problems=problems)) == 3
    assert [path for path, _ in problems] == ["bad.mlgit"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mlgit", True),
        ("x/a.b.mlgit", True),
        (".mlgit", False),
        ("x/.mlgit", False),
        ("a", False),
    ],
)
def test_what_a_pointer_is_called(name: str, expected: bool) -> None:
    assert is_pointer(name) is expected

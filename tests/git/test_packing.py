"""Small packs for commits, and their joining, with the real Git looking on."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mlgit.exceptions import CorruptData, PermissionDenied
from mlgit.git import Repository, packing
from mlgit.git.batch import ObjectBatch
from mlgit.git.objects import object_id
from mlgit.git.packfile import _index_bytes, read_entries, write_small

Git = Callable[..., str]


@pytest.fixture
def repo(repo_dir: Path) -> Repository:
    return Repository.open(str(repo_dir))


def write(repo: Repository, seed: int, count: int = 6, *, release: bool = True) -> list[str]:
    batch = ObjectBatch(repo.objects, repo.state_dir)
    chance = random.Random(seed)
    made = [batch.write("blob", chance.randbytes(chance.randrange(3000))) for _ in range(count)]
    batch.flush()
    if release:
        batch.release()
    return made


def packs(repo: Repository) -> list[str]:
    return [n for n in os.listdir(repo.objects.pack_dir) if n.endswith(".pack")]


@pytest.mark.parametrize("size", [0, 1, 15, 16, 2047, 2048, 300_000])
def test_git_reads_what_a_batch_wrote(
    repo: Repository, repo_dir: Path, git: Git, size: int
) -> None:
    batch = ObjectBatch(repo.objects, repo.state_dir)
    contents = [bytes([65 + i]) * size for i in range(4)]
    made = [batch.write("blob", data) for data in contents]
    assert not repo.objects.exists(made[0]) or size == 0
    batch.flush()
    for sha, data in zip(made, contents):
        assert repo.objects.read(sha) == ("blob", data)
        assert git(repo_dir, "cat-file", "-s", sha).strip() == str(size)
    git(repo_dir, "fsck", "--full", "--strict")


def test_few_objects_stay_loose(repo: Repository) -> None:
    write(repo, 1, count=3)
    assert packs(repo) == []
    assert len(write(repo, 2, count=4)) == 4 and len(packs(repo)) == 1


def test_a_large_batch_goes_in_parts(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlgit.git.batch._MANY_BYTES", 5000)
    made = write(repo, 3, count=40)
    assert len(packs(repo)) > 1
    assert all(repo.objects.exists(sha) for sha in made)


def test_small_packs_are_joined(repo: Repository, repo_dir: Path, git: Git) -> None:
    made = [sha for seed in range(packing.SMALL_PACKS) for sha in write(repo, seed)]
    other = Repository.open(str(repo_dir))
    before = {sha: other.objects.read(sha) for sha in made}
    assert packing.many_small(repo.state_dir)
    assert packing.join_small(repo.objects, repo.state_dir) == packing.SMALL_PACKS
    assert len(packs(repo)) == 1 and not packing.many_small(repo.state_dir)
    # A reader that had the old packs open, and one that begins.
    assert {sha: other.objects.read(sha) for sha in made} == before
    assert {sha: repo.objects.read(sha) for sha in made} == before
    git(repo_dir, "fsck", "--full", "--strict")
    assert packing.join_small(repo.objects, repo.state_dir) == 0


def test_joined_packs_are_joined_geometrically(repo: Repository, repo_dir: Path, git: Git) -> None:
    made = []
    most = 0
    for number in range(packing.JOINED_PACKS * 5):
        made += write(repo, 2 * number) + write(repo, 2 * number + 1)
        packing.join_small(repo.objects, repo.state_dir)
        if packing.many_joined(repo.state_dir):
            assert packing.join_large(repo.objects, repo.state_dir) > 1
        most = max(most, len(packs(repo)))
    assert most <= packing.JOINED_PACKS + 1
    assert all(repo.objects.exists(sha) for sha in made)
    git(repo_dir, "fsck", "--full", "--strict")


def test_a_damaged_pack_is_left_where_it_is(repo: Repository) -> None:
    good, bad = write(repo, 1), write(repo, 2)
    name = packing.PackNames(repo.state_dir, joined=False).names()[1]
    path = Path(repo.objects.pack_dir, f"{name}.pack")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    packing.join_small(repo.objects, repo.state_dir)
    assert path.exists()
    with pytest.raises(CorruptData):
        list(read_entries(repo.objects.pack_dir, name))
    assert all(repo.objects.exists(sha) for sha in good + bad)


@pytest.mark.parametrize("damage", [b"", b"\xfftOc\0\0\0\2", bytes(2000)])
def test_a_damaged_index_is_an_error(repo: Repository, damage: bytes) -> None:
    write(repo, 1)
    name = packing.PackNames(repo.state_dir, joined=False).names()[0]
    path = Path(repo.objects.pack_dir, f"{name}.idx")
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(CorruptData):
        list(read_entries(repo.objects.pack_dir, name))


def test_what_git_repacked_is_forgotten(repo: Repository, repo_dir: Path, git: Git) -> None:
    made = [sha for seed in range(5) for sha in write(repo, seed)]
    git(repo_dir, "gc", "--quiet", "--prune=never")
    packing.join_small(repo.objects, repo.state_dir)
    assert packing.PackNames(repo.state_dir, joined=False).names() == []
    assert all(repo.objects.exists(sha) for sha in made)


@pytest.mark.parametrize("command", [["repack", "-a", "-d", "-q"], ["gc", "-q", "--prune=now"]])
def test_git_lets_a_pack_alone_until_it_is_released(
    repo: Repository, repo_dir: Path, git: Git, command: list[str]
) -> None:
    batch = ObjectBatch(repo.objects, repo.state_dir)
    made = [batch.write("blob", b"%d" % i) for i in range(5)]
    batch.flush()
    git(repo_dir, *command)
    packing.join_small(repo.objects, repo.state_dir)
    assert all(repo.objects.exists(sha) for sha in made)
    batch.release()
    git(repo_dir, *command)
    repo.objects.refresh()
    assert not any(repo.objects.exists(sha) for sha in made)  # as no ref leads to them


def test_a_pack_that_a_dead_process_kept_is_joined(repo: Repository) -> None:
    made = write(repo, 1, release=False) + write(repo, 2, release=False)
    for name in os.listdir(repo.objects.pack_dir):
        if name.endswith(".keep"):
            os.utime(f"{repo.objects.pack_dir}/{name}", (0, 0))
    packing.join_small(repo.objects, repo.state_dir)
    assert len(os.listdir(repo.objects.pack_dir)) == 2
    assert all(repo.objects.exists(sha) for sha in made)


def test_threads_read_while_packs_are_joined(repo: Repository) -> None:
    made = [(seed, sha) for seed in range(10) for sha in write(repo, seed)]
    stop = threading.Event()
    errors: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                for _, sha in made:
                    assert object_id(*repo.objects.read(sha)) == sha
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for seed in range(100, 130):
        write(repo, seed)
        packing.join_small(repo.objects, repo.state_dir)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_many_threads_note_their_packs(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    names = [f"pack-{i:040x}" for i in range(80)]

    def note(part: list[str]) -> None:
        for name in part:
            packing.remember_small(state, name)

    threads = [threading.Thread(target=note, args=(names[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    noted = packing.PackNames(state, joined=False)
    noted.remove(set(names[:10]))
    for thread in threads:
        thread.join()
    assert set(names[10:]) <= set(noted.names())
    Path(noted.path).write_bytes(b"garbage\n" + b"pack-../../etc/passwd\n\xff\n")
    assert noted.names() == []


def test_an_index_with_offsets_over_two_gigabytes(tmp_path: Path) -> None:
    from dulwich.object_format import DEFAULT_OBJECT_FORMAT
    from dulwich.pack import load_pack_index

    offsets = [12, 2**31 - 1, 2**31, 2**33 + 5]
    entries = sorted(
        (hashlib.sha1(b"%d" % i).digest(), offset, zlib.crc32(b"%d" % i))
        for i, offset in enumerate(offsets)
    )
    path = tmp_path / "pack-x.idx"
    path.write_bytes(_index_bytes(entries, bytes(20)))
    index = load_pack_index(str(path), DEFAULT_OBJECT_FORMAT)
    assert [(e[0], e[1], e[2]) for e in index.iterentries()] == entries
    index.check()
    index.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(repo: Repository) -> None:
    os.chmod(repo.objects.pack_dir, 0o500)
    with pytest.raises(PermissionDenied):
        write(repo, 1)


def test_a_full_disk_leaves_no_rubbish(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlgit.git.packfile.os.write", full)
    with pytest.raises(Exception, match="No space left"):
        write_small(repo.objects.pack_dir, {object_id("blob", b""): b"x"})
    monkeypatch.undo()
    assert os.listdir(repo.objects.pack_dir) == []

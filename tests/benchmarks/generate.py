"""Make repositories with many runs, quickly.

A run that is logged takes milliseconds, most of them for a dozen small files. Here the
same objects, made by mlgit's own ``write_commit``, go straight into one pack, and the refs
straight into ``packed-refs``: what a repository looks like after ``git gc``.

    python tests/benchmarks/generate.py FOLDER RUNS [--points N] [--check]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlgit.git import Repository
from mlgit.git.objects import ObjectStore
from mlgit.store import names, yamlform
from mlgit.store.record import FORMAT, Point, Record
from mlgit.store.runtree import write_commit

START = 1_700_000_000_000
_NUMBERS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}


def git(folder: Path | str, *arguments: str, stdin: str | None = None) -> str:
    """Run Git in a folder and return what it printed."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def make_repository(folder: Path) -> None:
    """A repository with a few source files and one commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Benchmark")
    git(folder, "config", "user.email", "benchmark@example.org")
    # What is measured is one command, not a repack that happens to begin behind it.
    git(folder, "config", "gc.auto", "0")
    for number in range(10):
        path = folder / "src" / f"module_{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"VALUE = {number}\n" * 50, encoding="utf-8")
    (folder / "README.md").write_text("# A project\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")


class PackWriter(ObjectStore):
    """An object store whose new objects are collected for one pack.

    Args:
        path: The ``objects`` folder; what is there already can be read.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.seen: set[bytes] = set()
        self.count = 0
        self.temporary = f"{path}/pack/tmp_generated.pack"
        self.file = open(self.temporary, "wb")
        self.file.write(b"PACK" + bytes([0, 0, 0, 2]) + bytes(4))

    def write(self, kind: str, data: bytes) -> str:
        """Put one object into the pack, unless it is there, and return its name."""
        name = hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data)
        if name.digest() not in self.seen:
            self.seen.add(name.digest())
            self.count += 1
            self.file.write(_pack_head(_NUMBERS[kind], len(data)) + zlib.compress(data, 1))
        return name.hexdigest()

    def exists(self, sha: str) -> bool:
        """Whether an object is in the pack or was there before."""
        return bytes.fromhex(sha) in self.seen or super().exists(sha)

    def finish(self) -> None:
        """Complete the pack; ``git index-pack`` checks every object on the way."""
        self.file.close()
        digest = hashlib.sha1()
        with open(self.temporary, "r+b") as pack:
            pack.seek(8)
            pack.write(self.count.to_bytes(4, "big"))
            pack.seek(0)
            while block := pack.read(1 << 20):
                digest.update(block)
            pack.write(digest.digest())
        final = f"{self.path}/pack/pack-{digest.hexdigest()}.pack"
        os.rename(self.temporary, final)
        git(self.path, "index-pack", final)


def _pack_head(number: int, size: int) -> bytes:
    """Kind and size as a pack has them (git-scm.com/docs/gitformat-pack)."""
    head = bytearray([number << 4 | size & 15])
    size >>= 4
    while size:
        head[-1] |= 128
        head.append(size & 127)
        size >>= 7
    return bytes(head)


def records(count: int, points: int, seed: int = 0) -> Iterator[Record]:
    """Finished runs of 5 params and 5 metrics."""
    rng = random.Random(seed)
    for number in range(count):
        start = START + 60_000 * number
        record = Record(
            run_id=f"{rng.getrandbits(128):032x}",
            run_name=f"run-{number}",
            status="FINISHED",
            user="benchmark",
            start_time=start,
            end_time=start + 50_000,
            source={"type": "LOCAL", "name": "train.py", "branch": "main"},
            tags={"team": f"t{number % 7}"},
            params={f"p{i}": str(rng.randrange(10 ** (i + 1))) for i in range(5)},
        )
        for step in range(points):
            for i in range(5):
                record.add_point(f"m{i}", Point(step, start + 400 * step, rng.random()))
        yield record


def generate(folder: Path, count: int, points: int = 1, seed: int = 0) -> None:
    """Add finished runs to a repository.

    Args:
        folder: The repository, with a commit.
        count: How many runs.
        points: How many points each of a run's five metrics has.
        seed: Other seeds give other runs.
    """
    add(folder, records(count, points, seed))


def add(folder: Path, made: Iterable[Record]) -> None:
    """Add runs to a repository that has a commit."""
    repo = Repository.open(str(folder))
    code = git(folder, "rev-parse", "HEAD", "HEAD^{tree}").split()
    pack = PackWriter(repo.objects.path)
    repo.objects = pack
    packages = {f"package-{i}": f"1.{i}" for i in range(60)}
    environment = pack.write(
        "blob", yamlform.dump({"format": FORMAT, "python": "3.11.7", "packages": packages})
    )
    refs = []
    for record in made:
        record.code_commit, record.code_tree = code
        record.source["commit"] = code[0]
        record.environment = environment
        commit = write_commit(repo, record, None, record.end_time or 0, repo.objects)
        refs.append((names.run_ref(record.experiment_id, record.run_id), commit))
    pack.finish()
    pack.close()
    _add_packed_refs(folder, refs)


def _add_packed_refs(folder: Path, refs: list[tuple[str, str]]) -> None:
    """Write refs as ``git pack-refs --all`` leaves them."""
    git(folder, "pack-refs", "--all")
    path = folder / ".git" / "packed-refs"
    present = [line.split(" ") for line in path.read_text().splitlines() if line[0] not in "#^"]
    lines = sorted([(name, sha) for sha, name in present] + refs)
    head = "# pack-refs with: peeled fully-peeled sorted \n"
    path.write_text(head + "".join(f"{sha} {name}\n" for name, sha in lines))


def check(folder: Path, sample: int = 20) -> None:
    """Have Git verify the repository, and mlgit read some of its runs."""
    print(git(folder, "fsck", "--strict", "--no-dangling").strip() or "fsck: clean")
    from mlgit.store.gitstore import GitStore

    store = GitStore(Repository.open(str(folder)))
    found = store.search_runs(None, max_results=sample)
    for run in found:
        assert len(run.data.params) == 5 and len(run.data.metrics) == 5, run
        assert store.metric_history(run.info.run_id, "m0"), run
    print(f"mlgit: {store.index.count_runs()} runs, {len(found)} read; {store.problems()}")
    store.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=int)
    parser.add_argument("--points", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.folder.exists():
        make_repository(options.folder)
    generate(options.folder, options.runs, options.points)
    if options.check:
        check(options.folder)


if __name__ == "__main__":
    main()

"""The commits that versions get of their own, where a run's can't carry them."""

from __future__ import annotations

from mlgit.git import Repository
from mlgit.git.commits import Commit, format_commit, parse_commit, signature
from mlgit.git.trees import FILE, format_tree

VERSION_FILE = "version.yaml"


def subject(model: str, number: int) -> str:
    """The first line of such a commit's message."""
    return f"Version {number} of {' '.join(model.split())}"


def on_top(repo: Repository, commit: str, model: str, number: int, now: int) -> str:
    """A commit of the same tree: GTO can't read two versions on one commit.

    Args:
        repo: The repository.
        commit: The commit that carries a version of the model already.
        model: The model's name.
        number: The version that the new commit is to carry.
        now: The time, in milliseconds since 1970.
    """
    below = parse_commit(repo.objects.commit(commit))
    trailers = "".join(f"{k}: {v}\n" for k, v in below.trailers().items())
    text = f"{subject(model, number)}\n"
    return _write(repo, below.tree, (commit,), f"{text}\n{trailers}" if trailers else text, now)


def own_commit(repo: Repository, model: str, number: int, text: str, now: int) -> str:
    """A commit without parents, for a version without a run.

    Args:
        repo: The repository.
        model: The model's name.
        number: The version.
        text: The message of its tag, which the commit's one file holds.
        now: The time, in milliseconds since 1970.
    """
    blob = repo.objects.write("blob", text.encode())
    tree = repo.objects.write("tree", format_tree({VERSION_FILE.encode(): (FILE, blob)}))
    return _write(repo, tree, (), f"{subject(model, number)}\n", now)


def _write(repo: Repository, tree: str, parents: tuple[str, ...], message: str, now: int) -> str:
    author, committer = signature(repo.author(), now), signature(repo.committer(), now)
    made = Commit(tree, parents, author, committer, message)
    return repo.objects.write("commit", format_commit(made))

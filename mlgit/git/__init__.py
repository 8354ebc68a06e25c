"""The one package that touches Git.

It imports dulwich, the settings and the errors, and nothing else of mlgit. It promises
that the index, the worktree, HEAD, the stash and every ref outside ``refs/mlgit/`` and
tags stay as they are, and that it runs no hook, no filter, and no program but ``git`` to reach
other repositories (``transport``), and ``ssh-keygen`` and ``gpg`` for signatures (``signing``).
"""

from __future__ import annotations

from mlgit.git.objects import ObjectStore, object_id
from mlgit.git.refs import ANY, RefStore, check_ref_name
from mlgit.git.repository import Head, Repository

__all__ = ["ANY", "Head", "ObjectStore", "RefStore", "Repository", "check_ref_name", "object_id"]

"""What ``mlgit`` itself offers of this package, under the names that it has there."""

from __future__ import annotations

from mlgit.worktree.elsewhere import open_file as open

__all__ = ["open"]

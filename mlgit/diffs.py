"""``mlgit.diff``: comparing two revisions in a program or a notebook."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlgit.review.compare import Comparison
    from mlgit.store.gitstore import GitStore


class Diff:
    """What differs between two revisions; a notebook shows it with curves and images.

    Attributes:
        comparison: The data (``mlgit.review.compare.Comparison``).
    """

    def __init__(self, comparison: Comparison, store: GitStore) -> None:
        self.comparison = comparison
        self._store = store

    def __str__(self) -> str:
        from mlgit.review.render import to_text

        return to_text(self.comparison)

    def __repr__(self) -> str:
        return f"<Diff {self.comparison.a.label} → {self.comparison.b.label}>"

    def __bool__(self) -> bool:
        return self.comparison.differs()

    def to_dict(self) -> dict[str, Any]:
        """The diff as dicts, lists, text and finite numbers (docs/review.md, "JSON")."""
        from mlgit.review.render import to_dict

        return to_dict(self.comparison)

    def to_markdown(self) -> str:
        """The diff as Markdown."""
        from mlgit.review.markdown import to_markdown

        return to_markdown(self.comparison)

    def to_html(self) -> str:
        """The diff as a page in one file."""
        from mlgit.review.page import to_html
        from mlgit.review.previews import preview

        return to_html(self.comparison, previewer=partial(preview, self._store.objects))

    def _repr_html_(self) -> str:
        from mlgit.review.page import fragment
        from mlgit.review.previews import preview

        shown = partial(preview, self._store.objects)
        return f"<div>{fragment(self.comparison, previewer=shown)}</div>"


def diff(*revisions: str) -> Diff:
    """What differs between two revisions of the current repository.

    Args:
        revisions: As for ``mlgit diff``: two, ``A..B``, ``A...B``, one (against the newest run)
            or none (the two newest runs). A revision is a run, a branch, a tag, a commit, a
            registered model's version (``NAME@v3``, ``NAME@production``) or ``worktree``.

    Returns:
        The diff; it is true if anything differs.

    Raises:
        ResourceDoesNotExist: Something isn't there.
        InvalidParameterValue: A text could mean several things, or there are too many.
    """
    from mlgit.review.compare import compare
    from mlgit.review.curves import MOST_POINTS
    from mlgit.review.revisions import resolve_pair
    from mlgit.tracking import uri

    store = uri.store_for()
    store.index.sync()
    return Diff(compare(store, *resolve_pair(store, revisions), points=MOST_POINTS), store)

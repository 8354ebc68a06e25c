"""The model registry: append-only tags and a little text, in the format of docs/format.md.

It imports ``store`` and what is below. It never moves or removes a tag, and never rewrites a
commit; its index is derived, and whoever deletes it loses nothing.
"""

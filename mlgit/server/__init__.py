"""The web app of a repository, and what serves it.

It imports anything below the command line; nothing but ``mlgit ui`` imports it, so Flask is
loaded by that command alone. It promises to change nothing unless it was told that it may, to
answer nobody but who it was started for, and to show what comes from a repository as text:
never as markup, script or style of its own pages. It never walks all runs to show a page.

One blueprint a file; ``pages.py`` is their table. ``protection.py`` guards every request.
"""

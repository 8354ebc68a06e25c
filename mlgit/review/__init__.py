"""Comparing two revisions, and rendering the comparison.

It imports the store and what lies below it. It promises to change nothing (a worktree that
is compared is recorded as objects that no ref names), to do bounded work on files of any
size, and that what it renders can't control a terminal, break a table or inject HTML.
"""

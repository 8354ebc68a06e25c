"""The data of a worktree: kept as objects, named by pointer files that Git tracks.

It may import the store and what is below it. It promises never to change or remove a file whose
content isn't an object unless told to (``force``), and to leave a state from which the same call
goes on wherever it is interrupted. It never touches Git's index, HEAD or refs.
"""

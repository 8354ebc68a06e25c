"""Push, fetch and clone: refs by Git, and the objects that they name, together.

It imports the store and what is below. It guarantees that a ref which others can see never
names bytes that nobody can get (objects first, refs last), and that no ref is ever forced: what
two clones changed is merged key by key, or left alone on both sides and reported. It never
touches branches, people's own tags, the index or the worktree.
"""

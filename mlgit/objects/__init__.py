"""Content-addressed bytes: files as objects, folders as manifests.

It imports nothing of mlgit but the errors. It promises that an object's bytes are what
its name says whenever they were read through here, and that no object is ever changed.
"""

from __future__ import annotations

from mlgit.objects.local import LocalObjects
from mlgit.objects.manifest import Entry, format_manifest, parse_manifest
from mlgit.objects.tree import ArtifactTree

__all__ = ["ArtifactTree", "Entry", "LocalObjects", "format_manifest", "parse_manifest"]

"""What model URIs mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.exceptions import InvalidParameterValue
from mlgit.models.uris import (
    PathUri,
    RegistryUri,
    RemoteUri,
    RevisionUri,
    RunUri,
    parse,
)

RUN = "0123456789abcdef0123456789abcdef"
NAMES = st.from_regex(r"[A-Za-z][\w. -]{0,20}", fullmatch=True).filter(lambda n: n == n.strip())


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        (f"runs:/{RUN}/model", RunUri(RUN, "model")),
        (f"runs://{RUN}/a/b/", RunUri(RUN, "a/b")),
        (f"mlgit-artifacts:/0/{RUN}/artifacts/a/b", RunUri(RUN, "a/b")),
        ("models:/name/3", RegistryUri("name", version=3)),
        ("models:/name/Production", RegistryUri("name", stage="Production")),
        ("models:/name/latest", RegistryUri("name", stage="latest")),
        ("models:/name@champion", RegistryUri("name", alias="champion")),
        ("models:/Ecommerce Model/1", RegistryUri("Ecommerce Model", version=1)),
        ("models:/a%20b/2", RegistryUri("a b", version=2)),
        (f"models:/m-{RUN}", RegistryUri(f"m-{RUN}")),
        ("mlgit:/main/models/a", RevisionUri(("main", "models", "a"))),
        ("mlgit://feature/x/models", RevisionUri(("feature", "x", "models"))),
        ("some/path", PathUri("some/path")),
        ("/abs/path", PathUri("/abs/path")),
        ("file:///abs/a%20b", PathUri("/abs/a b")),
        ("file://localhost/abs", PathUri("/abs")),
        ("file:rel", PathUri("rel")),
        ("s3://bucket/key", RemoteUri("s3://bucket/key")),
        ("memory://x/y", RemoteUri("memory://x/y")),
    ],
)
def test_forms(uri: str, meant: object) -> None:
    assert parse(uri) == meant


@pytest.mark.parametrize(
    "uri",
    [
        "runs:/", f"runs:/{RUN}", f"runs:/{RUN}/", f"runs:/{RUN}/../x", "runs:/../x",
        "models:/", "models:/name", "models:/a/b/3", "models:/name@", "models:/@x", "models:/name/",
        "mlgit:/main", "mlgit:/", "mlgit:/main/../x", "mlgit-artifacts:/0", "a\0b", "",
    ],
)  # fmt: skip
def test_what_is_none_is_refused(uri: str) -> None:
    with pytest.raises(InvalidParameterValue):
        parse(uri)


@given(NAMES, st.integers(1, 10**6))
def test_versions_and_aliases_are_read_back(name: str, version: int) -> None:
    assert parse(f"models:/{name}/{version}") == RegistryUri(name, version=version)
    assert parse(f"models:/{name}@v_{version}x") == RegistryUri(name, alias=f"v_{version}x")


@given(st.text(max_size=40))
def test_any_text_means_something_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except InvalidParameterValue:
        pass

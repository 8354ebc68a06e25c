"""Tags held against rules: what was let through, and what went past them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import rules, version
from signers import SshKeys

import mlgit
from mlgit import MlgitClient
from mlgit.exceptions import InvalidState, PromotionRefused
from mlgit.git.tags import Tag, format_tag
from mlgit.registry.audit import audit
from mlgit.registry.guards import Guards
from mlgit.registry.promotion import check_promotion, demote, promote, rollback
from mlgit.registry.rules import parse_rules, read_rules
from mlgit.registry.tags import TAGS, format_message
from mlgit.store import yamlform
from mlgit.tracking.registered import registry_for

Git = Callable[..., str]
GUARDED = """
m:
  production:
    require: metrics.accuracy >= 0.5
    better_than: production
    metric: accuracy
    clean: true
    tests: "true"
    who: "*@example.com"
"""


def found(*tags: str, text: str = "", **more: Any) -> list[tuple[str, str, str]]:
    """(tag, guard, problem) of what is found, by the rules of the worktree or of a text."""
    registry = registry_for()
    asked = read_rules(registry.store.repo)
    if text:
        asked = parse_rules(yamlform.load(text.encode(), "here"), "here")
    audited = audit(registry, asked, tags or None, **more)
    return [(f.tag, f.guard, f.problem) for f in audited.findings]


def by_hand(tag: str, number: int, **said: Any) -> None:
    """Write an assignment's tag past everything that checks."""
    registry = registry_for()
    repo = registry.store.repo
    event = registry.state("m").versions[number].event
    count = int(tag.rpartition("#")[2])
    text = format_message({"event": "assign", "model": "m", "version": number, **said})
    tagger = f"{repo.committer()} {event.at + 1000 + count} +0000"
    made = Tag(event.commit, "commit", tag, tagger, text)
    repo.refs.update(TAGS + tag, repo.objects.write("tag", format_tag(made)), None)


@pytest.fixture
def three(client: MlgitClient, in_repo: Path) -> MlgitClient:
    """Versions of growing accuracy, and rules for production."""
    for accuracy in (0.6, 0.7, 0.8):
        version(accuracy=accuracy)
    rules(in_repo, GUARDED)
    return client


def test_what_promote_writes_is_found_right(three: MlgitClient) -> None:
    registry = registry_for()
    asked = Guards(("metrics.accuracy < 5", "params.lr IS NULL"))
    for number in (1, 2, 3):
        promote(registry, "m", number, "production", guards=asked, archive_existing=True)
    promote(registry, "m", 1, "champion")
    promote(registry, "m", 2, "champion")
    for _ in range(2):
        rollback(registry, "m", "production")
    rollback(registry, "m", "champion")
    demote(registry, "m", target="champion")
    demote(registry, "m", target="production")
    three.delete_model_version("m", 3)
    audited = audit(registry, read_rules(registry.store.repo))
    assert audited.findings == [] and audited.tags == len(registry.history("m")) > 15
    with_tests = audit(registry, read_rules(registry.store.repo), with_tests=True)
    assert with_tests.findings == []


def test_what_went_past_the_rules_is_found(three: MlgitClient, in_repo: Path) -> None:
    promote(registry_for(), "m", 2, "production")
    three.transition_model_version_stage("m", 1, "Production")
    assert found("m#production#2") == [
        ("m#production#2", "tests true", "the tag records no run of it"),
        (
            "m#production#2",
            "better than production by accuracy",
            "accuracy is 0.6, version 2 (Production) has 0.7, needs to be higher",
        ),
    ]
    assert found("refs/tags/m#production#1") == []
    text = "m:\n  production:\n    who: boss@example.com\n    require: metrics.accuracy > 0.65\n"
    assert [(tag, guard) for tag, guard, _ in found(text=text)] == [
        ("m#production#1", "who boss@example.com"),
        ("m#production#2", "who boss@example.com"),
        ("m#production#2", "require metrics.accuracy > 0.65"),
    ]
    failing = "m: {production: {tests: 'exit 3'}}"
    ((tag, guard, said),) = found("m#production#2", text=failing, with_tests=True)
    assert (tag, guard) == ("m#production#2", "tests exit 3") and said.startswith("exit status 3")


def test_what_a_tag_claims_is_looked_at(three: MlgitClient) -> None:
    guards = [
        {"guard": "require", "asks": "metrics.accuracy > 0.5", "figures": {"metrics.accuracy": 9.9}},
        {"guard": "require", "asks": "metrics.accuracy > 5", "figures": {"metrics.accuracy": 0.6}},
        {"guard": "require", "asks": "metrics.accuracy > 0.1"},
        {"guard": "better_than", "asks": "production", "metric": "accuracy", "figures": {"value": 0.6}},
        {"guard": "tests", "asks": "pytest", "figures": {"exit_status": 3}},
        {"guard": "require", "asks": "metrics.accuracy >"},
        {"guard": "later", "asks": "what nobody knows yet"},
        "nonsense",
    ]  # fmt: skip
    by_hand("m#other#1", 1, alias="other", guards=guards)
    assert found("m#other#1") == [
        ("m#other#1", "", found("m#other#1")[0][2]),
        ("m#other#1", "", "it records a guard that can't be read: 'nonsense' names no guard"),
        ("m#other#1", "tests pytest", "the tag records exit status 3"),
        (
            "m#other#1",
            "require metrics.accuracy > 0.5",
            "metrics.accuracy is 0.6, and the tag records 9.9",
        ),
        ("m#other#1", "require metrics.accuracy > 5", "metrics.accuracy is 0.6, needs > 5"),
        ("m#other#1", "require metrics.accuracy > 0.1", "the tag records no figures of it"),
    ]


def test_a_rollback_must_be_one(three: MlgitClient) -> None:
    registry = registry_for()
    for number in (2, 3):
        promote(registry, "m", number, "production")
    rollback(registry, "m", "production")
    assert found() == []
    by_hand("m#production#7", 1, stage="Production", restores="m#production#1")
    tags = {(tag, guard) for tag, guard, _ in found()}
    assert ("m#production#7", "") in tags, "version 1 was never there"
    assert ("m#production#7", "better than production by accuracy") in tags


def test_who_took_it_away(three: MlgitClient, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(registry_for(), "m", 1, "production")
    registry_for().store.repo.__dict__["_identities"] = dict.fromkeys(
        ("AUTHOR", "COMMITTER"), "Eve <eve@example.net>"
    )
    with pytest.raises(PromotionRefused):
        demote(registry_for(), "m", 1)
    three.transition_model_version_stage("m", 1, "Staging")
    assert [(tag, guard) for tag, guard, _ in found()] == [("m#production!#3", "who *@example.com")]
    three.transition_model_version_stage("m", 2, "Staging")
    text = "m:\n  staging: {who: '*@example.com'}"
    before = {tag for tag, _, _ in found(text=text)}
    three.transition_model_version_stage("m", 2, "Production")
    assert {tag for tag, _, _ in found(text=text)} == before, "rising is production's to allow"
    three.delete_model_version("m", 2)
    assert found("m@v2.0.0!")[0][1] == "who *@example.com"


def test_what_changed_since_is_told(three: MlgitClient) -> None:
    promote(registry_for(), "m", 1, "production")
    run_id = str(three.get_model_version("m", 1).run_id)
    three.log_metric(run_id, "accuracy", 0.1, step=9)
    assert [(guard, text) for _, guard, text in found()] == [
        ("require metrics.accuracy >= 0.5", "metrics.accuracy is 0.1, needs >= 0.5"),
        (
            "require metrics.accuracy >= 0.5",
            "metrics.accuracy is 0.1, and the tag records 0.6",
        ),
        ("better than production by accuracy", "value is 0.1, and the tag records 0.6"),
    ]
    three.log_metric(run_id, "accuracy", 0.6, step=10)
    three.delete_run(run_id)
    assert found() == [], "a deleted run's figures are still there"


def test_a_run_that_is_not_here(three: MlgitClient, in_repo: Path, git: Git) -> None:
    promote(registry_for(), "m", 1, "production")
    for ref in git(in_repo, "for-each-ref", "--format=%(refname)", "refs/mlgit/runs").splitlines():
        git(in_repo, "update-ref", "-d", ref)
    assert any("mlgit fetch" in text for _, _, text in found("m#production#1"))


def test_a_clone_that_lacks_tags_is_told(
    three: MlgitClient, in_repo: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        promote(registry_for(), "m", number, "production")
    there = tmp_path / "ci"
    tag = "m#production#2"
    git(tmp_path, "clone", "-q", "--no-tags", str(in_repo), str(there))
    wanted = [f"refs/tags/{name}:refs/tags/{name}" for name in ("m@v2.0.0", tag)]
    git(there, "fetch", "-q", "--no-tags", "origin", *wanted, "refs/mlgit/*:refs/mlgit/*")
    rules(there, GUARDED)
    monkeypatch.chdir(there)
    problems = [(guard, text) for _, guard, text in found(tag)]
    assert problems[0][1].startswith("the tag before it, m#production#1, isn't here; git fetch")
    better = "better than production by accuracy"
    assert (better, "held_by is None, and the tag records 1") in problems
    git(there, "fetch", "-q", "origin", "refs/tags/*:refs/tags/*")
    assert found(tag) == []


def test_gtos_tags_are_held_against_rules(three: MlgitClient, in_repo: Path, git: Git) -> None:
    commit = str(three.get_model_version("m", 1).commit)
    git(in_repo, "tag", "-a", "-m", "by hand", "m#production#1", commit)
    assert [(tag, guard) for tag, guard, _ in found()] == [("m#production#1", "tests true")]
    low = "m:\n  production:\n    require: metrics.accuracy > 0.9"
    assert found(text=low)[0][2] == "metrics.accuracy is 0.6, needs > 0.9"


def test_malformed_tags_are_reported(three: MlgitClient, in_repo: Path, git: Git) -> None:
    commit = str(three.get_model_version("m", 1).commit)
    git(in_repo, "tag", "m#x#1", commit)
    git(in_repo, "tag", "-a", "-m", "x", "m#y#2", "HEAD")
    git(in_repo, "tag", "-a", "-m", "x", "v1.0.0")
    (in_repo / ".git/refs/tags/m#z#3").write_text("nonsense\n")
    assert {tag for tag, _, _ in found()} == {"m#x#1", "m#y#2", "m#z#3"}
    assert [text for _, _, text in found("m#x#1")] == [
        "The tag m#x#1 is lightweight: it has no date and no author"
    ]
    assert len(found("m#z#3")) == 1
    assert "no such tag" in found("m#nothing#9")[0][2]
    audited = audit(registry_for(), parse_rules(None, ""), ["v1.0.0"])
    assert (audited.foreign, audited.findings, audited.tags) == (["v1.0.0"], [], 0)


def test_a_deleted_model(three: MlgitClient) -> None:
    promote(registry_for(), "m", 1, "production")
    three.delete_registered_model("m")
    assert found() == []


TEXT = st.text(max_size=12) | st.sampled_from(
    ["m#production#1", "Production", "archived", "require", "better_than", "tests", "clean",
     "metrics.accuracy > 0", "accuracy", "runs:/x/model"]
)  # fmt: skip
ANYTHING = st.recursive(
    TEXT | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ENTRY = st.dictionaries(
    st.sampled_from(["guard", "asks", "metric", "min_delta", "lower_is_better", "figures"]),
    ANYTHING,
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    said=st.dictionaries(
        st.sampled_from(
            ["stage", "alias", "version", "restores", "because", "time", "user", "run_id", "model"]
        ),
        ANYTHING,
    ),
    guards=st.lists(ENTRY | ANYTHING, max_size=3) | ANYTHING,
    name=st.sampled_from(["production", "production!", "x", "archived"]),
)
def test_no_tag_can_stop_it(
    said: dict[str, Any], guards: Any, name: str, three: MlgitClient
) -> None:
    count = len(registry_for().history("m"))
    by_hand(f"m#{name}#{count}", 1, **{**said, "format": 1, "guards": guards})
    for tag, _, problem in found():
        assert tag and problem
    registry_for().changes("m")
    three.search_model_versions()


@pytest.mark.parametrize(
    "tag, said, stage",
    [
        ("m#production#1", {"stage": "Staging"}, "Production"),
        ("m#production#1", {"alias": "champion"}, "Production"),
        ("m#production#1", {"stage": "none such"}, "Production"),
        ("m#champion#1", {"stage": "Production"}, "None"),
        ("m#archived#1", {"stage": "Production"}, "Archived"),
    ],
)
def test_a_message_is_about_what_the_name_says(
    tag: str, said: dict[str, str], stage: str, three: MlgitClient
) -> None:
    # Hosts protect tags by their names, CI is started by them, and GTO reads no more.
    by_hand(tag, 1, **said)
    assert three.get_model_version("m", 1).current_stage == stage
    problems = found(tag)
    (other,) = said.values()
    named = tag.split("#")[1]
    assert problems[0] == (tag, "", f"the message is about {other}, and the name about {named}")
    asks = {guard for _, guard, _ in problems[1:]}
    assert ("tests true" in asks) == (stage == "Production")


@pytest.mark.parametrize("alias", ["production", "Production", "PRODUCTION"])
def test_an_alias_that_is_called_as_a_stage(alias: str, three: MlgitClient) -> None:
    three.set_registered_model_alias("m", alias, 1)
    assert three.get_model_version("m", 1).current_stage == "None"
    text = "m: {production: {who: boss@example.com}}"
    assert [guard for _, guard, _ in found(text=text)] == ["who boss@example.com"]
    assert [guard for _, guard, _ in found(text=text.replace("prod", "Prod"))] != []


@pytest.mark.parametrize("tag", ["m@v1.0.0!", "m@v1.0.0!#1"])
def test_a_deletion_that_is_dated_back(tag: str, three: MlgitClient) -> None:
    promote(registry_for(), "m", 1, "production")
    registry = registry_for()
    repo, event = registry.store.repo, registry.state("m").versions[1].event
    text = format_message({"event": "deregister", "model": "m", "version": 1})
    made = Tag(event.commit, "commit", tag, f"Eve <eve@x> {event.at} +0000", text)
    repo.refs.update(TAGS + tag, repo.objects.write("tag", format_tag(made)), None)
    assert [v.version for v in three.search_model_versions("name = 'm'")] == [3, 2]
    assert found(tag) == [(tag, "who *@example.com", "eve@x isn't one of them")]


def test_a_copied_tag_is_told(three: MlgitClient, in_repo: Path, git: Git) -> None:
    promote(registry_for(), "m", 1, "production")
    git(in_repo, "update-ref", "refs/tags/m#champion#2", "refs/tags/m#production#1")
    git(in_repo, "update-ref", "refs/tags/n@v1.0.0", "refs/tags/m@v1.0.0")
    assert found("m#champion#2", "n@v1.0.0") == [
        ("m#champion#2", "", "it is a copy of a tag that was made as m#production#1"),
        ("m#champion#2", "", "the message is about Production, and the name about champion"),
        ("n@v1.0.0", "", "it is a copy of a tag that was made as m@v1.0.0"),
    ]


# -- signatures


def test_signed_promotions(three: MlgitClient, in_repo: Path, git: Git, ssh_keys: SshKeys) -> None:
    registry = registry_for()
    text = "m:\n  production: {signed: true}\n  champion: {signers: ['boss@*']}\n"
    rules(in_repo, text)
    with pytest.raises(PromotionRefused) as caught:
        promote(registry, "m", 1, "production")
    assert "signed" in caught.value.message
    with pytest.raises(InvalidState):
        promote(registry, "m", 1, "other", sign=True)
    three.transition_model_version_stage("m", 1, "Production")  # past the rules
    assert [(tag, guard) for tag, guard, _ in found()] == [
        ("m#production#1", "signed a good signature")
    ]
    ssh_keys.make("boss")
    ssh_keys.allow("boss", "boss@example.com")
    ssh_keys.use(in_repo, ssh_keys.folder / "ada")
    mlgit.tracking.uri.close_all()
    registry = registry_for()
    before = git(in_repo, "for-each-ref")
    (looked,) = check_promotion(registry, "m", 2, "champion").guards
    assert looked.passed is None
    with pytest.raises(PromotionRefused) as caught:
        promote(registry, "m", 2, "champion")
    assert "ada@example.com" in caught.value.message and "isn't one of them" in caught.value.message
    assert git(in_repo, "for-each-ref") == before
    done = promote(registry, "m", 2, "production", archive_existing=True)
    assert len(done.tags) == 3
    for tag in done.tags:
        git(in_repo, "verify-tag", tag)
    assert done.guards[0].found.startswith("signed by ada@example.com (SHA256:")
    done = promote(registry, "m", 2, "other", sign=True)
    git(in_repo, "verify-tag", done.tags[0])
    ssh_keys.use(in_repo, ssh_keys.folder / "boss")
    mlgit.tracking.uri.close_all()
    registry = registry_for()
    for number in (1, 2):
        git(in_repo, "verify-tag", promote(registry, "m", number, "champion").tags[0])
    git(in_repo, "verify-tag", rollback(registry, "m", "champion").tags[0])
    git(in_repo, "verify-tag", demote(registry, "m", target="champion").tags[0])
    assert [tag for tag, _, _ in found()] == ["m#production#1"]
    key = ssh_keys.fingerprint("boss")
    assert found(text=f"m:\n  champion: {{signers: ['{key}']}}") == []
    three.set_registered_model_alias("m", "champion", 3)
    assert "it isn't signed" in found(text=text)[-1][2]

"""The team's rules: read, refused, and whom and what they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import rules, version

from mlgit import MlgitClient
from mlgit.exceptions import CorruptData, MlgitException, PromotionRefused, Unsupported
from mlgit.registry.guards import BetterThan, Guards
from mlgit.registry.promotion import demote, promote, rollback
from mlgit.registry.rules import Rule, parse_rules, read_rules
from mlgit.registry.targets import Target, target_named
from mlgit.store import yamlform
from mlgit.tracking.registered import registry_for

Git = Callable[..., str]
ALL = """
"Ecommerce Model":
  production:
    require: "metrics.a >= 0.95"
    better_than: production
    metric: a
    min_delta: 1
    lower_is_better: true
    tests: ["true", "pytest -q"]
    clean: true
    who: ["*@example.org"]
    signers: SHA256:abc
fraud-*:
  "*":
    - better_than: champion
      metric: a
    - better_than: champion
      metric: b
"*":
  archived: {who: ops@example.org, signed: true}
  staging:
"""


def parsed(text: str) -> tuple[Rule, ...]:
    return parse_rules(yamlform.load(text.encode(), "here"), "here").rules


def test_all_that_may_stand_there() -> None:
    first, *both, archived, staging = parsed(ALL)
    better = BetterThan("production", "a", 1.0, True)
    assert first == Rule(
        "Ecommerce Model",
        "production",
        Guards(("metrics.a >= 0.95",), (better,), ("true", "pytest -q"), True),
        ("*@example.org",),
        True,
        ("SHA256:abc",),
    )
    assert [rule.guards.better_than[0].metric for rule in both] == ["a", "b"]
    assert archived == Rule("*", "archived", Guards(), ("ops@example.org",), True)
    assert staging == Rule("*", "staging")
    assert parse_rules(None, "here").rules == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "promotion must be a mapping of models"),
        ("m: 3", r"promotion.m must be a mapping of stages and aliases, not 3"),
        ("m: {production: yes}", "promotion.m.production must be a mapping of guards, not True"),
        ("m: {production: {requires: x}}", "no key 'requires'(.|\n)*did you mean 'require'"),
        ("m: {production: {colour: x}}", "no key 'colour'(.|\n)*known: require"),
        ("m: {production: {require: 3}}", "require must be a text or a list of texts"),
        ("m: {production: {require: [3]}}", "require must be a text or a list of texts"),
        ("m: {production: {require: }}", "require must be .*not nothing"),
        ("m: {production: {require: []}}", "require is empty"),
        ("m: {production: {require: 'metrics.a >'}}", "promotion.m.production: (.|\n)*metrics.a >"),
        ("m: {production: {require: 'accuracy > 1'}}", "no attribute 'accuracy'"),
        ("m: {production: {better_than: production}}", "metric must name"),
        ("m: {production: {better_than: [production]}}", "better_than must be"),
        ("m: {production: {better_than: a b, metric: x}}", "Invalid alias"),
        ("m: {production: {metric: x}}", "'metric' without 'better_than'"),
        ("m: {production: {better_than: p, metric: x, min_delta: '1'}}", "min_delta must be a numb"),
        ("m: {production: {better_than: p, metric: x, min_delta: -1}}", "from 0 on"),
        ("m: {production: {better_than: p, metric: x, min_delta: .nan}}", "from 0 on"),
        ("m: {production: {better_than: p, metric: x, lower_is_better: 1}}", "true or false"),
        ("m: {production: {clean: 'yes'}}", "clean must be true or false"),
        ("m: {production: {who: []}}", "who is empty"),
        ("m: {production: {signed: false, signers: [a]}}", "needn't be signed"),
        ("m: {production: {require: }}", "^here: promotion.m.production.require must"),
        ("m: {prodction: {clean: true}}", "prodction is no stage(.|\n)*'production'(.|\n)*'prodctio.n.'"),
        ("m: {Stagging: {clean: true}}", "Stagging is no stage"),
        ("m: {latest: {clean: true}}", "'latest' is reserved"),
        ("m: {v3: {clean: true}}", "'v3' is reserved"),
        ("m: {none: {clean: true}}", "isn't a stage"),
        ("m: {archived: {clean: true}}", "asks for clean"),
        ("m: {production: [{clean: true}, {claen: true}]}", r"production\[1\] has no key 'claen'"),
    ],
)  # fmt: skip
def test_what_may_not_stand_there(text: str, message: str) -> None:
    with pytest.raises(CorruptData, match=message):
        found = yamlform.load(f"promotion:\n  {text}".encode(), "here")["promotion"]
        parse_rules(found, "here")


@pytest.mark.parametrize(
    "alias", ["prod", "preproduction", "staging-eu", "staging2", "prodctio[n]", "champion"]
)
def test_what_is_no_misspelled_stage(alias: str) -> None:
    (rule,) = parsed(f'm: {{"{alias}": {{clean: true}}}}')
    assert rule.matches(["m"], Target(alias.replace("[n]", "n"), False))


KEYS = st.sampled_from(
    ["m", "*", "production", "require", "better_than", "metric", "min_delta", "tests", "clean", "who",
     "signed", "signers", "archived", "lower_is_better"]
) | st.text(max_size=6)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_stands_there_is_rules_or_an_error_with_a_place(value: Any) -> None:
    try:
        found = parse_rules(value, "here")
    except CorruptData as error:
        assert error.message.startswith("here: promotion") and error.hint
        return
    for rule in found.rules:
        assert rule.signed or not rule.signers
        assert rule.who is None or rule.who


ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "require": st.lists(st.sampled_from(["metrics.a > 1", "params.b = 'c'"]), min_size=1),
        "tests": st.sampled_from(["true", "pytest"]),
        "clean": st.booleans(),
        "who": st.lists(st.sampled_from(["a@b", "*@c"]), min_size=1),
        "signed": st.just(True),
        "signers": st.lists(st.sampled_from(["a@b", "SHA256:x"]), min_size=1),
    },
)


@given(st.dictionaries(st.sampled_from(["m", "*", "n-*"]), st.dictionaries(
    st.sampled_from(["production", "Staging", "champion", "*"]), ENTRY, max_size=3), max_size=3))  # fmt: skip
def test_what_is_written_is_what_is_read(section: dict[str, Any]) -> None:
    text = yamlform.dump({"promotion": section})
    found = {
        (rule.model, rule.target): rule
        for rule in parse_rules(yamlform.load(text, "here").get("promotion"), "here").rules
    }
    assert len(found) == sum(len(targets) for targets in section.values())
    for model, targets in section.items():
        for target, entry in targets.items():
            rule = found[model, target]
            assert list(rule.guards.require) == entry.get("require", [])
            assert rule.guards.clean == entry.get("clean", False)
            assert list(rule.who or ()) == entry.get("who", [])
            assert rule.signed == ("signed" in entry or "signers" in entry)


@pytest.mark.parametrize(
    ("model", "target", "asked", "matches"),
    [
        ("m", "production", "Production", True),
        ("m", "PRODUCTION", "production", True),
        ("*", "prod*", "production", True),
        ("M", "production", "production", False),
        ("f?o", "production", "production", False),
        ("m", "staging", "production", False),
        ("m", "champion", "champion", True),
        ("m", "Champion", "champion", False),
        ("m", "*", "champion", True),
        ("m", "*", "staging", True),
        ("m", "*", "archived", False),
        ("m", "Archived", "archived", True),
        ("[m]", "*", "staging", True),
    ],
)
def test_whom_a_rule_is_about(model: str, target: str, asked: str, matches: bool) -> None:
    assert Rule(model, target).matches(["m"], target_named(asked)) is matches


def test_the_name_of_a_stage_protects_an_alias_of_that_name() -> None:
    assert Rule("m", "production").matches(["m"], Target("production", False))


def test_models_with_brackets_in_their_names() -> None:
    assert Rule("a[b]", "x").matches(["a[b]"], Target("x", False))


# -- where they stand


def test_the_worktrees_and_a_commits(client: MlgitClient, in_repo: Path, git: Git) -> None:
    repo = registry_for().store.repo
    assert read_rules(repo).rules == () == read_rules(repo, git(in_repo, "rev-parse", "HEAD")).rules
    rules(in_repo, "m:\n  x:\n    clean: true")
    assert len(read_rules(repo).rules) == 1
    assert read_rules(repo, git(in_repo, "rev-parse", "HEAD")).rules == ()
    git(in_repo, "add", ".")
    git(in_repo, "commit", "-q", "-m", "rules")
    assert len(read_rules(repo, git(in_repo, "rev-parse", "HEAD")).rules) == 1
    path = in_repo / ".mlgit/config.yaml"
    for text, error, message in (
        ("promotions:\n  m: {}\n", CorruptData, "has 'promotions'(.|\n)*did you mean 'promotion'"),
        ("format: 9\n", Unsupported, "format 9"),
        ("a: [\n", CorruptData, "config.yaml"),
        (
            "promotion:\n  m:\n    x: {clean: true}\n  m:\n    y: {clean: true}\n",
            CorruptData,
            "the key 'm' stands twice, again in line 4",
        ),
    ):
        path.write_text(text)
        with pytest.raises(error, match=message):
            read_rules(repo)


def test_a_clones_own_configuration_has_no_say(client: MlgitClient, in_repo: Path) -> None:
    version()
    own = in_repo / ".git/mlgit/config.yaml"
    own.write_text("format: 1\npromotion: {m: {x: {clean: false}}}\n")
    rules(in_repo, "m:\n  x:\n    who: boss@example.org")
    with pytest.raises(PromotionRefused, match="ada@example.com isn't one of them"):
        promote(registry_for(), "m", 1, "x")


def test_rules_that_cannot_be_read_let_nobody_through(client: MlgitClient, in_repo: Path) -> None:
    version()
    rules(in_repo, "m:\n  y:\n    cleam: true")
    for call in (
        lambda: promote(registry_for(), "m", 1, "x"),
        lambda: demote(registry_for(), "m", 1, "x"),
    ):
        with pytest.raises(MlgitException):
            call()
    assert client.get_registered_model("m").aliases == {}


# -- who may


def test_who_may(client: MlgitClient, in_repo: Path) -> None:
    for _ in range(2):
        version()
    registry = registry_for()
    for number in (1, 2):
        promote(registry, "m", number, "production")
    rules(in_repo, '"*":\n  production:\n    who: ["Boss@Example.org", "*@ops.example.org"]')
    for call in (
        lambda: promote(registry, "m", 1, "production"),
        lambda: demote(registry, "m", target="production"),
        lambda: rollback(registry, "m", "production"),
        lambda: promote(registry, "m", 2, "staging"),  # it would leave production
    ):
        with pytest.raises(PromotionRefused, match="isn't one of them"):
            call()
    rules(in_repo, '"*":\n  production:\n    who: ADA@*')
    assert rollback(registry, "m", "production").guards[0].passed
    assert demote(registry, "m", 1).tags
    rules(in_repo, '"*":\n  staging:\n    who: [boss@example.org]')
    with pytest.raises(PromotionRefused):
        promote(registry, "m", 1, "staging")
    client.transition_model_version_stage("m", 1, "Staging")
    assert promote(registry, "m", 1, "production").tags, "rising is for the higher stage to say"

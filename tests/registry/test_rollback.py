"""Going back to the version that held a stage or an alias before; and taking out of it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import version

from mlgit import MlgitClient
from mlgit.exceptions import InvalidState
from mlgit.registry.promotion import demote, promote, rollback
from mlgit.registry.state import replay
from mlgit.registry.tags import ASSIGN, REGISTER, UNASSIGN, Event, TagName
from mlgit.registry.targets import Target, held_before, stack_of
from mlgit.tracking.registered import registry_for


def to(number: int, target: str = "production", **more: bool) -> None:
    promote(registry_for(), "m", number, target, **more)  # type: ignore[arg-type]


def back(target: str = "production") -> int:
    return rollback(registry_for(), "m", target).version


@pytest.fixture
def four(client: MlgitClient) -> MlgitClient:
    """A model of four versions."""
    for _ in range(4):
        version()
    return client


@pytest.mark.parametrize("target", ["production", "champion"])
def test_it_goes_further_back_each_time(four: MlgitClient, target: str) -> None:
    for number in (1, 2, 1, 3):
        to(number, target)
    assert [back(target), back(target), back(target)] == [1, 2, 1]
    with pytest.raises(InvalidState, match="before version 1") as caught:
        back(target)
    assert "mlgit models history m" in caught.value.hint
    # What is promoted then is gone back from to where it was.
    to(4, target)
    assert back(target) == 1


def test_of_a_stage_the_version_before_leaves_it(four: MlgitClient) -> None:
    to(1)
    to(2, archive_existing=True)
    done = rollback(registry_for(), "m", "PRODUCTION", reason="it fails")
    assert (done.version, done.previous) == (1, 2)
    stages = {v.version: v.current_stage for v in four.search_model_versions()}
    assert stages == {1: "Production", 2: "None", 3: "None", 4: "None"}
    first = next(e for e in registry_for().history("m") if e.tag == done.tags[0])
    assert first.text("restores") == "m#production#1" and first.text("reason") == "it fails"


def test_deleted_versions_are_passed_over(four: MlgitClient) -> None:
    for number in (1, 2, 3):
        to(number, "champion")
    four.delete_model_version("m", 2)
    assert back("champion") == 1
    to(3, "champion")
    four.delete_model_version("m", 1)
    with pytest.raises(InvalidState, match="before version 3"):
        back("champion")


def test_what_was_taken_out_is_not_gone_back_to(four: MlgitClient) -> None:
    for number in (1, 2, 3):
        to(number)
    demote(registry_for(), "m", 2)
    assert demote(registry_for(), "m", target="production").version == 3
    assert four.get_model_version("m", 3).current_stage == "None"
    demote(registry_for(), "m", 1)
    with pytest.raises(InvalidState, match="No version of m"):
        back()
    for number in (1, 2, 3):
        to(number, "champion")
    assert demote(registry_for(), "m", target="champion").version == 3
    assert four.get_registered_model("m").aliases == {}
    assert back("champion") == 2, "the one before who was taken out"


def test_moving_on_by_mlflows_calls_is_leaving_too(four: MlgitClient) -> None:
    to(1)
    four.transition_model_version_stage("m", 2, "Production", archive_existing_versions=True)
    four.transition_model_version_stage("m", 2, "Staging")
    assert back() == 1
    assert back("staging") == 2 if four.get_latest_versions("m", ["Staging"]) == [] else True


def test_nothing_is_written_by_a_look(four: MlgitClient) -> None:
    to(1)
    to(2)
    history = len(registry_for().history("m"))
    assert rollback(registry_for(), "m", "production", dry_run=True).version == 1
    assert demote(registry_for(), "m", 2, dry_run=True).tags == []
    assert len(registry_for().history("m")) == history


# -- against a model of it


class Undo:
    """What a stage or alias should be, by a list that only grows and is cut."""

    def __init__(self) -> None:
        self.stack: list[int] = []
        self.held: int | None = None
        self.gone: set[int] = set()

    def do(self, step: tuple[str, int]) -> None:
        kind, number = step
        if kind == "give" and number not in self.gone:
            if not self.stack or self.stack[-1] != number:
                self.stack.append(number)
            self.held = number
        elif kind == "take" and self.held == number:
            self.stack = [n for n in self.stack if n != number]
            self.held = None
        elif kind == "back":
            self.held = self.before()
            while self.stack and self.stack[-1] != self.held:
                self.stack.pop()
        elif kind == "delete" and number not in self.gone:
            self.gone.add(number)
            if self.held == number:
                self.stack = [n for n in self.stack if n != number]
                self.held = None

    def before(self) -> int | None:
        for number in reversed(self.stack):
            if number not in self.gone and number != self.held:
                return number
        return None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["give", "give", "give", "take", "back", "delete"]), st.integers(1, 4)
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_an_alias_is_what_a_list_says(steps: list[tuple[str, int]], four: MlgitClient) -> None:
    registry = registry_for()
    name = f"m{len(registry.search_models('', 1000))}"
    for _ in range(4):
        four.create_model_version(
            four.create_registered_model(name).name if not registry.has(name) else name, "s3://b/m"
        )
    undo = Undo()
    for kind, number in steps:
        before = undo.before()
        if kind == "give" and number not in undo.gone:
            promote(registry, name, number, "x")
        elif kind == "take" and undo.held == number:
            demote(registry, name, number, "x")
        elif kind == "back" and before is None:
            with pytest.raises(InvalidState):
                rollback(registry, name, "x")
            continue
        elif kind == "back":
            assert rollback(registry, name, "x").version == before
        elif kind == "delete" and number not in undo.gone:
            four.delete_model_version(name, number)
        undo.do((kind, number))
        aliases = four.get_registered_model(name).aliases
        assert aliases == ({} if undo.held is None else {"x": undo.held})


# -- by tags of any kind

X = Target("x", False)


def event(n: int, kind: str, number: int, **said: str) -> Event:
    if kind == REGISTER:
        return Event(f"m@v{n}", "", TagName("m", kind, version=f"{n}.0.0"), str(number), 0)
    name = TagName("m", kind, alias="x", count=n)
    return Event(f"#{n}", "", name, str(number), n, message={"format": 1, "alias": "x", **said})


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ASSIGN, UNASSIGN]),
            st.integers(1, 3),
            st.none() | st.integers(0, 9),
            st.none() | st.integers(0, 9),
        ),
        max_size=9,
    )
)
def test_whatever_tags_say_the_stack_holds_what_was_given(
    given_: list[tuple[str, int, int | None, int | None]],
) -> None:
    events = [event(n, REGISTER, n) for n in (1, 2, 3)]
    for n, (kind, number, restores, because) in enumerate(given_, 1):
        said = {"restores": f"#{restores}"} if restores is not None else {}
        said |= {"because": f"#{because}"} if because is not None else {}
        events.append(event(n, kind, number, **said))
    stack = stack_of(events, X)
    assigned = {(int(e.commit), e.tag) for e in events if e.name.event == ASSIGN}
    assert set(stack) <= assigned
    assert len(set(stack)) == len(stack)
    state = replay("m", events, None)
    found, held = held_before(events, state, X), X.held(state)
    assert found is None or (found in stack and (held is None or found[0] != held[0]))

"""Whatever goes in comes out: formats, names, and the store against a model of it."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlgit.entities import Param, ViewType
from mlgit.exceptions import InvalidParameterValue
from mlgit.git import Repository
from mlgit.git.refs import check_ref_name
from mlgit.objects.manifest import Entry, format_manifest, parse_manifest
from mlgit.store import experiment_record, journal, names, record, timeform, yamlform
from mlgit.store.gitstore import GitStore
from mlgit.store.record import Point, Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
KEY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FLOAT = st.floats()
INT64 = st.integers(-(2**63), 2**63 - 1)
SHA = st.text("0123456789abcdef", min_size=64, max_size=64)
PLAIN = st.none() | st.booleans() | st.integers() | FLOAT | TEXT
TREE = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    """Equal, with NaN equal to itself and 1 not to True or 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXT, TREE, max_size=5))
def test_yaml_comes_back_and_reads_as_yaml(data: dict[str, Any]) -> None:
    text = yamlform.dump(data)
    assert same(yamlform.load(text, "x"), data)
    assert same(yaml.safe_load(text) or {}, data)
    assert same(yaml.load(text, Loader=yaml.SafeLoader) or {}, data)


@given(
    TEXT
    | st.sampled_from(
        [
            "y",
            "No",
            "ON",
            "~",
            "null",
            "1",
            "1e5",
            "0x1",
            "1:30",
            "=",
            "<<",
            "a: b",
            "- a",
            "2026-01-01",
            ".inf",
            "é",
            "a ",
            " a",
            "#",
            "a #b",
        ]
    )
)
def test_a_string_stays_one(value: str) -> None:
    text = yamlform.dump({"k": value, value: "k"} if value != "k" else {"k": value})
    for found in (yamlform.load(text, "x"), yaml.safe_load(text)):
        assert found["k"] == value
        assert value == "k" or found[value] == "k"


WORD = st.sampled_from(["verify", "size", "off1", "n1", "allow_pickle"])
PLAIN = st.sampled_from(
    ["true", "no", "on", "null", "0", "1", "01", "1e5", "1234567890123456789", "abc", "3a" * 32]
)


@given(st.dictionaries(WORD, PLAIN, min_size=1))
def test_a_mapping_on_one_line_is_read_as_yaml(pairs: dict[str, str]) -> None:
    text = "k: {" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}\n"
    assert same(yamlform.load(text.encode(), "x"), yaml.safe_load(text))


@given(FLOAT)
def test_a_float_stays_the_same(value: float) -> None:
    text = yamlform.dump({"k": value})
    for found in (yamlform.load(text, "x"), yaml.safe_load(text)):
        assert repr(found["k"]) == repr(value) and isinstance(found["k"], float)


def dataset() -> st.SearchStrategy[dict[str, Any]]:
    fields = dict.fromkeys(("name", "digest", "source_type", "source"), TEXT)
    optional = {
        "schema": TEXT,
        "profile": TEXT,
        "tags": st.dictionaries(KEY, TEXT, min_size=1, max_size=2),
    }
    return st.fixed_dictionaries(fields, optional=optional)


@settings(deadline=None)
@given(
    st.builds(
        Record,
        run_id=KEY,
        run_name=TEXT.filter(bool),
        experiment_id=KEY,
        experiment=KEY,
        status=st.sampled_from(["RUNNING", "FINISHED", "FAILED"]),
        lifecycle_stage=st.sampled_from(["active", "deleted"]),
        user=TEXT,
        start_time=st.none() | INT64,
        end_time=st.none() | st.integers(0, 2**45),
        parent_run_id=st.none() | KEY,
        source=st.dictionaries(KEY, TEXT.filter(bool), max_size=3),
        tags=st.dictionaries(KEY, TEXT, max_size=3),
        unknown=st.dictionaries(st.just("later") | st.just("even later"), TREE, max_size=2),
    )
)
def test_run_yaml(given_record: Record) -> None:
    found = record.parse_run(record.format_run(given_record), "x")
    assert same(found.unknown, given_record.unknown)
    found.unknown = given_record.unknown = {}
    assert found == given_record


@given(st.dictionaries(KEY, TEXT, min_size=1), st.dictionaries(KEY, FLOAT, min_size=1))
def test_params_and_metrics_yaml(params: dict[str, str], metrics: dict[str, float]) -> None:
    assert record.parse_params(record.format_params(params), "x") == params
    points = {k: Point(0, 0, v) for k, v in metrics.items()}
    found = record.parse_metrics(record.format_metrics(points), "x")
    assert same(dict(sorted(found.items())), dict(sorted(metrics.items())))


@given(st.lists(st.builds(Point, INT64, INT64, FLOAT)))
def test_history(points: list[Point]) -> None:
    data = record.HISTORY_HEADER + record.format_history(points)
    assert repr(record.parse_history(data, "x")) == repr(points)


NAME = st.text(min_size=1, max_size=12).filter(
    lambda n: n not in (".", "..") and not set("/\0") & set(n)
)
# Bytes that aren't UTF-8 are names of files, too; other surrogates aren't.
FILE_NAME = st.binary(min_size=1, max_size=12).map(os.fsdecode).filter(
    lambda n: n not in (".", "..") and not set("/\0") & set(n)
) | NAME.filter(lambda n: n.isascii() or not any("\ud800" <= c <= "\udfff" for c in n))
ENTRY = st.builds(
    lambda kind, sha, size, files: Entry(kind, sha, size, files if kind == "d" else 1),
    st.sampled_from("fxd"),
    SHA,
    st.integers(0, 2**60),
    st.integers(0, 10**6),
)


@given(st.dictionaries(FILE_NAME, ENTRY, max_size=6))
def test_manifest(entries: dict[str, Entry]) -> None:
    data = format_manifest(entries)
    assert parse_manifest(data) == entries
    assert format_manifest(dict(reversed(list(entries.items())))) == data


@given(
    st.dictionaries(
        KEY.filter(lambda n: "/" not in n and "\0" not in n and n not in (".", "..")),
        ENTRY,
        max_size=5,
    )
)
def test_artifacts_yaml(entries: dict[str, Entry]) -> None:
    assert record.parse_artifacts(record.format_artifacts(entries), "x") == entries


@given(
    st.lists(dataset(), max_size=3),
    st.dictionaries(KEY.filter(lambda k: k != "format"), TREE, max_size=3),
)
def test_inputs_and_environment_yaml(
    inputs: list[dict[str, Any]], environment: dict[str, Any]
) -> None:
    assert record.parse_inputs(record.format_inputs(inputs), "x") == inputs
    assert same(record.parse_environment(record.format_environment(environment), "x"), environment)


@given(
    st.builds(
        experiment_record.ExperimentRecord,
        experiment_id=KEY,
        name=KEY,
        artifact_location=TEXT,
        lifecycle_stage=st.sampled_from(["active", "deleted"]),
        creation_time=st.none() | INT64,
        last_update_time=st.none() | INT64,
        tags=st.dictionaries(KEY, TEXT),
    )
)
def test_experiment_yaml(given_record: experiment_record.ExperimentRecord) -> None:
    data = experiment_record.format_experiment(given_record)
    assert experiment_record.parse_experiment(data, "x") == given_record


CASED = st.text("aAbBßſsSkK./\\ %~:conCON", min_size=1, max_size=6)


@settings(max_examples=300)
@given(st.sets(KEY | CASED | st.text("aA", min_size=220, max_size=224), max_size=8))
def test_file_names_are_safe_and_distinct(given_names: set[str]) -> None:
    found = names.file_names(given_names)
    assert len(set(found.values())) == len(given_names)
    lowered = {f.translate({c: c + 32 for c in range(65, 91)}) for f in found.values()}
    # Upper-case hex digits after "%" fold, too; what is encoded stays distinct by its bytes.
    assert len(lowered) == len(given_names)
    for name, file in found.items():
        assert 0 < len(file.encode()) <= 200
        assert file not in (".", "..") and file[0] not in ".-" and file[-1] not in ". "
        assert not set('/\\:*?"<>|\0\n') & set(file)
        assert file.split(".")[0].lower() not in ("con", "nul", "aux", "prn"), name


@given(st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_\-]{0,40}", fullmatch=True), st.integers(0, 10**15))
def test_refs_of_runs(run_id: str, experiment: int) -> None:
    ref = names.run_ref(str(experiment), run_id)
    assert check_ref_name(ref) == ref
    assert names.parse_run_ref(ref) == (str(experiment), run_id)


@given(TEXT)
def test_experiment_ids(name: str) -> None:
    found = names.experiment_id_for(name, 0)
    assert 10**14 <= int(found) < 10**15 and found == names.experiment_id_for(name, 0)
    assert found != names.experiment_id_for(name, 1)


@given(
    st.lists(
        st.lists(
            PLAIN.filter(lambda v: not isinstance(v, float) or math.isfinite(v)),
            min_size=1,
            max_size=5,
        ),
        max_size=4,
    ),
    st.binary(max_size=20),
)
def test_journal_lines(lines: list[list[Any]], tail: bytes) -> None:
    data = b"".join(journal.line(*line) for line in lines)
    assert [r for r, _ in journal.parse(data)] == lines
    torn = [r for r, _ in journal.parse(data + tail.replace(b"\n", b"") + b"\n" + data)]
    assert [r for r in torn if r is not None] == lines + lines
    assert list(journal.parse(data))[-1:] == ([(lines[-1], len(data))] if lines else [])


@given(KEY, FLOAT, INT64, INT64)
def test_metric_lines(key: str, value: float, when: int, step: int) -> None:
    [(found, _)] = journal.parse(journal.metric_line(key, value, when, step))
    assert found is not None and found[:2] == ["m", key] and found[3:] == [when, step]
    assert repr(journal.number(found[2])) == repr(value)


@given(INT64)
def test_times(when: int) -> None:
    assert timeform.from_iso(timeform.to_iso(when), "x") == when


# -- the store against a model


class Model:
    """What a run should be."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.stage = "active"
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.points: dict[str, list[tuple[int, int, float]]] = {}

    def metrics(self) -> dict[str, float]:
        return {key: max(points)[2] for key, points in self.points.items()}


class StoreMachine(RuleBasedStateMachine):
    """Everything that changes a run, in any order, with looks in between."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp()
        os.environ.update(dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "A"))
        Repository.init(self.folder)
        self.store = self.opened()
        self.runs: dict[str, Model] = {}
        self.owned: set[str] = set()

    def opened(self) -> GitStore:
        return GitStore(Repository.open(self.folder))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def pick(self, data: st.DataObject, which: Any = lambda r, m: True) -> str | None:
        fitting = [r for r, m in self.runs.items() if which(r, m)]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    @rule()
    def create(self) -> None:
        run_id = self.store.runs.create("0", owner=True).run_id
        self.runs[run_id] = Model()
        self.owned.add(run_id)

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        key=st.sampled_from(["a", "A", "b/c"]),
        step=st.integers(-3, 3),
        value=st.floats(-5, 5),
    )
    def log_metric(self, data: Any, key: str, step: int, value: float) -> None:
        run_id = self.pick(data, lambda r, m: m.stage == "active")
        if run_id:
            value += 0.0
            self.store.runs.log_metric(run_id, key, value, 1000, step)
            self.runs[run_id].points.setdefault(key, []).append((step, 1000, value))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), key=st.sampled_from("pq"), value=st.sampled_from("12"))
    def log_param(self, data: Any, key: str, value: str) -> None:
        run_id = self.pick(data, lambda r, m: m.stage == "active")
        if run_id:
            params = self.runs[run_id].params
            try:
                self.store.runs.log_batch(run_id, params=[Param(key, value)])
                assert params.setdefault(key, value) == value
            except InvalidParameterValue:
                assert params[key] != value

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), key=st.sampled_from("tu"), value=TEXT)
    def set_tag(self, data: Any, key: str, value: str) -> None:
        run_id = self.pick(data, lambda r, m: m.stage == "active")
        if run_id:
            self.store.runs.set_tag(run_id, key, value)
            self.runs[run_id].tags[key] = value

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), key=st.sampled_from("tu"))
    def delete_tag(self, data: Any, key: str) -> None:
        run_id = self.pick(data, lambda r, m: m.stage == "active" and key in m.tags)
        if run_id:
            self.store.runs.delete_tag(run_id, key)
            del self.runs[run_id].tags[key]

    @precondition(lambda self: self.owned)
    @rule(data=st.data(), status=st.sampled_from(["FINISHED", "FAILED", "KILLED"]))
    def end(self, data: Any, status: str) -> None:
        run_id = self.pick(data, lambda r, m: r in self.owned)
        if run_id:
            self.store.runs.finish(run_id, status)
            self.owned.discard(run_id)
            self.runs[run_id].status = status

    @rule(data=st.data())
    def resume(self, data: Any) -> None:
        run_id = self.pick(data, lambda r, m: r not in self.owned and m.stage == "active")
        if run_id:
            self.store.runs.join(run_id, owner=True)
            self.owned.add(run_id)
            self.runs[run_id].status = "RUNNING"

    @rule(data=st.data())
    def checkpoint(self, data: Any) -> None:
        run_id = self.pick(data, lambda r, m: r in self.owned)
        if run_id:
            self.store.runs.checkpoint(run_id)

    @rule(data=st.data(), stage=st.sampled_from(["deleted", "active"]))
    def delete_or_restore(self, data: Any, stage: str) -> None:
        run_id = self.pick(data, lambda r, m: r not in self.owned)
        if run_id:
            self.store.runs.update(run_id, lifecycle_stage=stage)
            self.runs[run_id].stage = stage

    @rule()
    def killed(self) -> None:
        for held in self.store.runs._open.values():
            held.writer.close()  # as the system does it
        self.store.runs._open = {}
        self.store.close()
        self.store = self.opened()
        for run_id in self.owned:
            self.runs[run_id].status = "FAILED"
        self.owned = set()
        self.store.runs.recover()

    @rule()
    def reindex(self) -> None:
        self.store.index.discard()

    @rule()
    def pack_refs(self) -> None:
        self.store.repo.refs.pack("refs/mlgit/")

    @rule()
    def collect(self) -> None:
        os.system(f"git -C {self.folder} gc -q 2>/dev/null")

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        if not hasattr(self, "store"):
            return
        other = self.opened()
        searched = {r.info.run_id: r for r in other.search_runs(None, run_view_type=ViewType.ALL)}
        assert set(searched) == set(self.runs)
        for run_id, model in self.runs.items():
            for run in (searched[run_id], other.runs.get(run_id), self.store.runs.get(run_id)):
                assert run.info.status == model.status
                assert run.info.lifecycle_stage == model.stage
                assert run.data.params == model.params
                assert run.data.metrics == model.metrics()
                assert {k: v for k, v in run.data.tags.items() if k in "tu"} == model.tags
            for key, points in model.points.items():
                assert [tuple(p) for p in other.runs.history(run_id, key)] == points
        assert other.problems() == []
        other.close()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

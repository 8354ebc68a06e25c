"""The index's tables (docs/format.md, "The index").

Derived and disposable: nothing is kept here that the refs and journals don't hold. NaN
has no place in SQLite, which stores it as NULL: a metric row whose value is NULL is NaN.
"""

from __future__ import annotations

INDEX_VERSION = 2

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;

-- Refs whose commit can't be read, so that it isn't tried at each query.
CREATE TABLE problems(ref TEXT PRIMARY KEY, commit_sha TEXT, message TEXT) WITHOUT ROWID;

CREATE TABLE experiments(
  experiment_id TEXT PRIMARY KEY, commit_sha TEXT, name TEXT NOT NULL,
  artifact_location TEXT, lifecycle_stage TEXT NOT NULL,
  creation_time INTEGER, last_update_time INTEGER) WITHOUT ROWID;
CREATE INDEX experiments_name ON experiments(name);
CREATE TABLE experiment_tags(
  experiment_id TEXT, key TEXT, value TEXT,
  PRIMARY KEY(experiment_id, key)) WITHOUT ROWID;

CREATE TABLE runs(
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  commit_sha TEXT,            -- NULL while there is only a journal
  loose INTEGER,              -- 1 a loose ref, 0 a packed one, 2 archived
  journal TEXT,               -- what its journals looked like; NULL without any
  experiment_id TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  lifecycle_stage TEXT NOT NULL,
  start_time INTEGER, end_time INTEGER,
  user_id TEXT, artifact_uri TEXT);
-- With what is most often asked of runs, so that going through all of them reads nothing else.
CREATE INDEX runs_newest
  ON runs(start_time DESC, run_id, lifecycle_stage, experiment_id, status, user_id);
CREATE INDEX runs_experiment
  ON runs(experiment_id, lifecycle_stage, start_time DESC, run_id, status, user_id);
CREATE INDEX runs_name ON runs(name);
CREATE INDEX runs_journal ON runs(journal) WHERE journal IS NOT NULL;

CREATE TABLE metrics(
  run INTEGER, key TEXT, value REAL, step INTEGER, timestamp INTEGER,
  PRIMARY KEY(run, key)) WITHOUT ROWID;
CREATE INDEX metrics_value ON metrics(key, value, run);
CREATE TABLE params(
  run INTEGER, key TEXT, value TEXT NOT NULL, number REAL,
  PRIMARY KEY(run, key)) WITHOUT ROWID;
CREATE INDEX params_value ON params(key, value, run);
CREATE INDEX params_number ON params(key, number, run) WHERE number IS NOT NULL;
CREATE TABLE tags(
  run INTEGER, key TEXT, value TEXT NOT NULL,
  PRIMARY KEY(run, key)) WITHOUT ROWID;
CREATE INDEX tags_value ON tags(key, value, run);
CREATE TABLE inputs(
  run INTEGER, position INTEGER, name TEXT, digest TEXT, context TEXT,
  source_type TEXT, source TEXT, schema TEXT, profile TEXT, tags TEXT,
  PRIMARY KEY(run, position)) WITHOUT ROWID;
CREATE INDEX inputs_name ON inputs(name, digest, run);
"""

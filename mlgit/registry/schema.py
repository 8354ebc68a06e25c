"""The tables of the registry's index. Derived from refs: whoever deletes it loses nothing."""

from __future__ import annotations

VERSION = 3

# events: one row a tag. registered_models, model_versions, …: what a replay of them gave.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE events (
  ref TEXT PRIMARY KEY, sha TEXT NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,
  at INTEGER NOT NULL, target TEXT, person TEXT, message TEXT, signed INTEGER, problem TEXT,
  loose INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_loose ON events(loose) WHERE loose=1;
CREATE INDEX events_key ON events(key, at, count);
CREATE INDEX events_target ON events(target, key);
CREATE INDEX events_problem ON events(problem) WHERE problem IS NOT NULL;
CREATE TABLE texts (
  ref TEXT PRIMARY KEY, sha TEXT NOT NULL, key TEXT NOT NULL, data TEXT, problem TEXT,
  loose INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE registered_models (
  key TEXT PRIMARY KEY, name TEXT NOT NULL, wanted TEXT NOT NULL, present INTEGER NOT NULL,
  creation_timestamp INTEGER, last_updated_timestamp INTEGER, description TEXT
) WITHOUT ROWID;
CREATE INDEX registered_models_name ON registered_models(name);
CREATE INDEX registered_models_wanted ON registered_models(wanted);
CREATE TABLE registered_model_tags (
  model TEXT, key TEXT, value TEXT, PRIMARY KEY(model, key)) WITHOUT ROWID;
CREATE TABLE model_versions (
  id INTEGER PRIMARY KEY, model TEXT NOT NULL, name TEXT NOT NULL,
  version_number INTEGER NOT NULL,
  creation_timestamp INTEGER, last_updated_timestamp INTEGER, description TEXT, user_id TEXT,
  current_stage TEXT, source_path TEXT, location TEXT, run_id TEXT, run_link TEXT,
  commit_sha TEXT, tag TEXT, stage_at INTEGER
);
CREATE UNIQUE INDEX model_versions_model ON model_versions(model, version_number);
CREATE INDEX model_versions_name ON model_versions(name);
CREATE INDEX model_versions_run ON model_versions(run_id);
CREATE TABLE model_version_tags (
  version INTEGER, key TEXT, value TEXT, PRIMARY KEY(version, key)) WITHOUT ROWID;
CREATE TABLE aliases (
  model TEXT, alias TEXT, version_number INTEGER, tag TEXT, PRIMARY KEY(model, alias)
) WITHOUT ROWID;
CREATE TABLE problems (model TEXT, tag TEXT, message TEXT);
CREATE INDEX problems_model ON problems(model);
"""

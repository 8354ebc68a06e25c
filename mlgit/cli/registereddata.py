"""Registered models as the command line's JSON, text and Markdown (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlgit.cli import output
from mlgit.cli.modeldata import section, signature_json, signature_lines
from mlgit.cli.output import Output, markdown, one_line, times
from mlgit.models.shown import short_signature

if TYPE_CHECKING:
    from mlgit.entities import Run
    from mlgit.entities.model_registry import ModelVersion, RegisteredModel
    from mlgit.models.mlmodel import Model
    from mlgit.registry.history import Change
    from mlgit.registry.lineage import Lineage
    from mlgit.registry.overview import Listed

_FEW = 3
_CELL = 60


# -- the list


def listed_json(model: Listed) -> dict[str, Any]:
    """A model of ``mlgit models list``."""
    last = model.last
    return {
        "name": model.name,
        "description": model.description,
        "tags": model.tags,
        "versions": model.count,
        "latest": model.latest,
        "stages": model.stages,
        "aliases": model.aliases,
        **times(creation_time=model.created, last_change=model.changed),
        "last_tag": last.tag if last else None,
        "last_person": last.person if last else None,
    }


def listed_table(models: Sequence[Listed], out: Output, *, md: bool = False) -> str:
    """The table of ``mlgit models list``."""
    headers = ["name", "latest", "production", "staging", "aliases", "versions", "changed"]
    rows = [
        [
            model.name,
            _v(model.latest),
            _numbers(model.stages.get("Production", [])),
            _numbers(model.stages.get("Staging", [])),
            " ".join(f"{alias}=v{number}" for alias, number in model.aliases.items()),
            str(model.count),
            str(output.iso(model.changed)) if md else output.age(model.changed),
        ]
        for model in models
    ]
    return _table(headers, rows, out, md, right=(5,))


def _v(number: int | None) -> str:
    return "" if number is None else f"v{number}"


def _numbers(held: Sequence[int]) -> str:
    more = f" and {len(held) - _FEW} more" if len(held) > _FEW else ""
    return ", ".join(f"v{number}" for number in held[:_FEW]) + more


def _table(
    headers: list[str], rows: list[list[str]], out: Output, md: bool, right: Sequence[int] = ()
) -> str:
    if md:
        return output.markdown_table(headers, [[markdown(c) for c in row] for row in rows], right)
    limit = out.columns()
    shown: Callable[[str], str] = one_line
    if limit is not None:
        shown = lambda text: output.shortened(one_line(text), _CELL)  # noqa: E731
    cells = [[shown(cell) for cell in row] for row in rows]
    return output.table([out.style(header, bold=True) for header in headers], cells, right)


# -- the history


def change_json(change: Change) -> dict[str, Any]:
    """A change of ``mlgit models history``."""
    return {
        "event": change.event,
        **times(time=change.time),
        "person": change.person,
        "user": change.user,
        "version": change.version,
        "stage": change.stage,
        "alias": change.alias,
        "previous_version": change.previous,
        "what": change.what,
        "reason": change.reason,
        "guards": change.guards,
        "signed": change.signed,
        "tag": change.tag or None,
        "commit": change.commit,
    }


def history_table(changes: Sequence[Change], out: Output, *, md: bool = False) -> str:
    """The table of ``mlgit models history``: when, who, what, why, what was checked, the tag."""
    headers = ["when", "who", "what", "why", "checked", "tag"]
    rows = [
        [
            str(output.iso(change.time)).replace("T", " ")[:19],
            change.person.partition(" <")[0],
            change.what,
            " ".join((change.reason or "").split()),
            "; ".join(guard_text(guard) for guard in change.guards),
            (change.tag or change.commit[:10]) + (" (signed)" if change.signed else ""),
        ]
        for change in changes
    ]
    empty = [at for at in range(len(headers)) if rows and not any(row[at] for row in rows)]
    keep = [at for at in range(len(headers)) if at not in empty]
    return _table([headers[at] for at in keep], [[row[at] for at in keep] for row in rows], out, md)


def guard_text(guard: object) -> str:
    """What was checked before a promotion, and its figures, on one line."""
    from mlgit.registry.guards import entry_text

    asked, figures = entry_text(guard)
    return f"{asked} ({figures})" if figures else asked


# -- one model


def model_json(
    model: RegisteredModel, versions: Sequence[ModelVersion], runs: Mapping[str, Run]
) -> dict[str, Any]:
    """A registered model, as ``mlgit models show NAME --json`` has it."""
    return {
        "name": model.name,
        "description": model.description,
        "tags": model.tags,
        "aliases": model.aliases,
        **times(
            creation_time=model.creation_timestamp,
            last_update_time=model.last_updated_timestamp,
        ),
        "versions": [
            {**version_facts(version), "metrics": _metrics(runs.get(version.run_id or ""))}
            for version in versions
        ],
    }


def model_text(
    model: RegisteredModel, versions: Sequence[ModelVersion], runs: Mapping[str, Run], out: Output
) -> str:
    """The same for a person."""
    facts = [
        ("description", model.description),
        *((f"tag {key}", value) for key, value in sorted(model.tags.items())),
        *((f"@{alias}", f"v{number}") for alias, number in model.aliases.items()),
        ("created", output.iso(model.creation_timestamp)),
        ("changed", output.iso(model.last_updated_timestamp)),
    ]
    lines = [out.style(one_line(model.name), bold=True), *_facts(facts)]
    if not versions:
        return "\n".join([*lines, "", "It has no versions"])
    names = _telling([_metrics(runs.get(version.run_id or "")) for version in versions])
    about = ["by", "registered", "description"]
    headers = ["version", "stage", "aliases", *names, "run", *about]
    rows = [
        [
            f"v{version.version}",
            _stage(version),
            " ".join(version.aliases),
            *_cells(runs.get(version.run_id or ""), names),
            (version.run_id or "")[:8],
            version.user_id or "",
            output.age(version.creation_timestamp),
            version.description or "",
        ]
        for version in versions
    ]
    right = range(3, 3 + len(names))
    return "\n".join([*lines, "", _table(headers, rows, out, md=False, right=right)])


def _metrics(run: Run | None) -> dict[str, float]:
    return dict(sorted(run.data.metrics.items())) if run is not None else {}


def _telling(found: Sequence[Mapping[str, float]]) -> list[str]:
    """A few metrics to tell versions apart by: those that differ first, then what most have."""
    names = dict.fromkeys(name for metrics in found for name in metrics)
    values = {name: [metrics[name] for metrics in found if name in metrics] for name in names}
    order = sorted(names, key=lambda n: (len(set(values[n])) < 2, -len(values[n]), n))
    return order[:_FEW]


def _cells(run: Run | None, names: Sequence[str]) -> list[str]:
    metrics = _metrics(run)
    return [output.number(metrics[name]) if name in metrics else "" for name in names]


def _stage(version: ModelVersion) -> str:
    return version.current_stage if version.current_stage not in (None, "None") else ""


def _facts(facts: Sequence[tuple[str, object]]) -> list[str]:
    known = [(one_line(name), one_line(value)) for name, value in facts if value not in (None, "")]
    wide = max((output.width(name) for name, _ in known), default=0)
    return [f"  {name}{' ' * (wide - output.width(name))}  {value}" for name, value in known]


# -- one version


def version_facts(version: ModelVersion) -> dict[str, Any]:
    """What the registry says of a version, without what that leads to."""
    return {
        "version": version.version,
        "stage": version.current_stage,
        "aliases": version.aliases,
        "description": version.description,
        "tags": version.tags,
        "source": version.source,
        "run_id": version.run_id,
        "run_link": version.run_link,
        "user": version.user_id,
        "status": version.status,
        "commit": version.commit,
        **times(
            creation_time=version.creation_timestamp,
            last_update_time=version.last_updated_timestamp,
        ),
    }


def version_json(
    version: ModelVersion,
    registered: Change | None,
    lineage: Lineage,
    model: Model | None,
    run: Run | None,
) -> dict[str, Any]:
    """A version, as ``mlgit models show NAME@VERSION --json`` has it."""
    return {
        "name": version.name,
        **version_facts(version),
        "tag": registered.tag if registered else None,
        "person": registered.person if registered else None,
        "signed": registered.signed if registered else None,
        "lineage": {
            "run_id": lineage.run_id,
            "run_name": lineage.run_name,
            "code_commit": lineage.code_commit,
            "dirty": lineage.dirty,
            "data": lineage.data,
            "datasets": [{"name": name, "digest": digest} for name, digest in lineage.datasets],
        },
        "metrics": _metrics(run),
        "flavors": None if model is None else model.flavors,
        "signature": None if model is None else signature_json(model),
    }


def version_text(
    version: ModelVersion,
    registered: Change | None,
    lineage: Lineage,
    model: Model | None,
    run: Run | None,
    out: Output,
) -> str:
    """The same for a person."""
    made_by = " ".join(filter(None, [lineage.run_id or version.run_id, lineage.run_name]))
    code = lineage.code_commit or ""
    tag = registered.tag if registered else ""
    facts = [
        ("source", version.source),
        ("run", made_by),
        ("page", version.run_link),
        ("stage", _stage(version)),
        ("aliases", ", ".join(version.aliases)),
        ("description", version.description),
        *((f"tag {key}", value) for key, value in sorted(version.tags.items())),
        ("tag", f"{tag} (signed)" if registered and registered.signed else tag),
        ("by", registered.person if registered else version.user_id),
        ("registered", output.iso(version.creation_timestamp)),
        ("changed", output.iso(version.last_updated_timestamp)),
        ("commit", version.commit),
        ("code", f"{code} with uncommitted changes" if code and lineage.dirty else code),
    ]
    if model is not None:
        facts += [("flavors", ", ".join(sorted(model.flavors))), ("takes", short_signature(model))]
    lines = [out.style(f"{one_line(version.name)} version {version.version}", bold=True)]
    lines += _facts(facts)
    data = [[path, f"sha256:{digest[:16]}…"] for path, digest in sorted(lineage.data.items())]
    lines += section("metrics", [[n, output.number(v)] for n, v in _metrics(run).items()], out)
    lines += section("data", data, out)
    lines += section("datasets", [[name, digest] for name, digest in lineage.datasets], out)
    return "\n".join([*lines, *(signature_lines(model, out) if model is not None else [])])

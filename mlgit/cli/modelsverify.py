"""``mlgit models verify``: whether signatures vouch for a version of a registered model."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from mlgit.cli import errors
from mlgit.cli.context import MODEL, App
from mlgit.cli.output import Output, iso, one_line, table

if TYPE_CHECKING:
    from mlgit.registry.trust import Checked, Report


@click.command()
@click.argument("model", metavar="NAME[@VERSION|@ALIAS]", type=MODEL)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def verify(app: App, model: str, as_json: bool) -> int:
    """Check the signatures of what a registered model's version rests on.

    Those are the tag that registered it, and of an alias or a stage the tag that gave it and
    any later one that takes it back; a name alone is the latest version. Whose signatures
    count is for Git's configuration to say (gpg.ssh.allowedSignersFile, gpg's keyring), as
    for git verify-tag. The exit code is 1 where one is missing or doesn't count.
    """
    from mlgit.registry.trust import examine_meant

    report = examine_meant(app.registry(), model)
    if as_json:
        app.out.json(_json(report))
    else:
        app.out.text(_text(report, app.out))
        for hint in dict.fromkeys(_hint(report, tag) for tag in report.tags):
            if hint:
                app.out.note(f"hint: {one_line(hint)}")
    return errors.OK if report.good else errors.FOUND


def _hint(report: Report, tag: Checked) -> str:
    if tag.good or tag.verification.kind:
        return tag.verification.hint
    name = shlex.quote(f"{report.version.name}@v{report.version.version}")
    model = shlex.quote(report.version.name)
    return (
        f"tags are signed where --sign or Git's tag.gpgSign says so; mlgit models register {name} "
        f"{model} --sign makes a signed version of the same model"
    )


def _json(report: Report) -> dict[str, Any]:
    """The keys are a promise (docs/cli.md)."""
    version = report.version
    return {
        "asked": report.asked,
        "name": version.name,
        "version": version.version,
        "good": report.good,
        "problem": report.problem,
        "commit": version.commit,
        "run_id": version.run_id,
        "tags": [_tag_json(tag) for tag in report.tags],
    }


def _tag_json(tag: Checked) -> dict[str, Any]:
    found = tag.verification
    return {
        "tag": tag.event.tag,
        "good": tag.good,
        "problem": found.problem,
        "kind": found.kind,
        "signer": found.signer,
        "key": found.key,
        "tagger": tag.event.person,
        "time": iso(tag.event.time),
    }


def _text(report: Report, out: Output) -> str:
    version = report.version
    verdict = "good" if report.good else "not to be trusted"
    title = f"{one_line(report.asked)} is version {version.version}: "
    lines = [title + out.style(verdict, "green" if report.good else "red", bold=True)]
    if report.problem:
        lines.append(f"  {one_line(report.problem)}")
    rows = [
        [
            one_line(tag.event.tag),
            "good" if tag.good else one_line(tag.verification.problem),
            one_line(tag.verification.signer) or "-",
            one_line(tag.verification.key) or "-",
        ]
        for tag in report.tags
    ]
    return "\n".join([*lines, "", table(["tag", "signature", "signer", "key"], rows)])

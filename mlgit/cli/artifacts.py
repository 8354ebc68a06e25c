"""``mlgit artifacts``: listing, fetching and logging the files of runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mlgit.cli import output
from mlgit.cli.context import RUN, App, one_of
from mlgit.cli.lazy import Group
from mlgit.cli.output import one_line
from mlgit.entities import FileInfo
from mlgit.exceptions import ResourceDoesNotExist

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

_RUN_ID = click.option("-r", "--run-id", metavar="ID", help="The run, as MLflow has it.")
_ARTIFACT_PATH = click.option(
    "-a", "--artifact-path", metavar="PATH", help="The path in the run, as MLflow has it."
)


@click.group(cls=Group)
def artifacts() -> None:
    """List, download and log artifacts of runs.

    What MLflow's command line gives by options can be given by them here too.
    """


@artifacts.command("list")
@click.argument("run", type=RUN, required=False)
@click.argument("path", required=False)
@_RUN_ID
@_ARTIFACT_PATH
@click.option("-R", "--recursive", is_flag=True, help="List what folders hold, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of files and folders.")
@click.pass_obj
def list_artifacts(
    app: App,
    run: str | None,
    path: str | None,
    run_id: str | None,
    artifact_path: str | None,
    recursive: bool,
    as_json: bool,
) -> None:
    """List a run's artifacts, or those in the folder PATH."""
    found_id = app.run_id(one_of(run, run_id, "RUN"))
    folder = _path(path, artifact_path)
    store = app.open()
    found = list(_listed(store, found_id, folder, recursive))
    if not found and folder:
        # A path that isn't there is an error here; the API gives an empty list.
        entry = store.artifact(found_id, folder)
        if not isinstance(entry, dict):
            found = [FileInfo(folder, False, entry.size)]
    if as_json:
        app.out.json([info.to_dictionary() for info in found])
        return
    if not found:
        app.out.note("No artifacts")
        return
    sizes = [output.size(info.file_size) for info in found]
    wide = max(map(len, sizes))
    app.out.text(
        "\n".join(
            f"{size:>{wide}}  {one_line(info.path)}{'/' if info.is_dir else ''}"
            for size, info in zip(sizes, found)
        )
    )


def _path(positional: str | None, option: str | None) -> str:
    if positional and option:
        raise click.UsageError("PATH is given twice")
    return (positional or option or "").strip("/")


def _listed(store: GitStore, run_id: str, folder: str, recursive: bool) -> Iterator[FileInfo]:
    for info in store.list_artifacts(run_id, folder):
        yield info
        if recursive and info.is_dir:
            yield from _listed(store, run_id, info.path, True)


@artifacts.command()
@click.argument("run", type=RUN, required=False)
@click.argument("path", required=False)
@_RUN_ID
@_ARTIFACT_PATH
@click.option(
    "-u",
    "--artifact-uri",
    metavar="URI",
    help="Instead of run and path: runs:/ID/PATH or models:/NAME/1.",
)
@click.option(
    "-d",
    "--dst-path",
    metavar="FOLDER",
    type=click.Path(file_okay=False),
    help="Where to put it; a new temporary folder by default.",
)
@click.pass_obj
def download(
    app: App,
    run: str | None,
    path: str | None,
    run_id: str | None,
    artifact_path: str | None,
    artifact_uri: str | None,
    dst_path: str | None,
) -> None:
    """Write a run's artifacts, or the one at PATH, to a folder, and print where it is."""
    from mlgit.artifacts import download_artifacts

    app.store()
    if artifact_uri:
        if run or path or run_id or artifact_path:
            raise click.UsageError("--artifact-uri goes without a run and a path")
        written = download_artifacts(artifact_uri, dst_path=dst_path, tracking_uri=app.tracking_uri)
    else:
        written = download_artifacts(
            run_id=app.run_id(one_of(run, run_id, "RUN")),
            artifact_path=_path(path, artifact_path),
            dst_path=dst_path,
            tracking_uri=app.tracking_uri,
        )
    app.out.text(output.safe(written))


@artifacts.command()
@click.argument("run", type=RUN)
@click.argument("local", metavar="FILE|FOLDER", type=click.Path())
@click.argument("folder", metavar="[TO]", required=False)
@click.pass_obj
def log(app: App, run: str, local: str, folder: str | None) -> None:
    """Log a file, or a folder under its own name, in the folder TO of a run's artifacts."""
    _check_there(local)
    run_id = app.run_id(run)
    app.open().log_artifact(run_id, local, folder)
    app.out.say(f"Logged {one_line(local)} to run {run_id}")


@artifacts.command("log-artifact")
@click.option("-l", "--local-file", metavar="FILE", required=True, help="The file to log.")
@click.option("-r", "--run-id", metavar="ID", required=True, help="The run.")
@click.option("-a", "--artifact-path", metavar="PATH", help="The folder in the run to log it to.")
@click.pass_obj
def log_artifact(app: App, local_file: str, run_id: str, artifact_path: str | None) -> None:
    """Log a file, as MLflow's command of this name does."""
    _check_there(local_file)
    found = app.run_id(run_id)
    app.open().log_artifact(found, local_file, artifact_path)
    app.out.say(f"Logged {one_line(local_file)} to run {found}")


@artifacts.command("log-artifacts")
@click.option("-l", "--local-dir", metavar="FOLDER", required=True, help="The folder to log.")
@click.option("-r", "--run-id", metavar="ID", required=True, help="The run.")
@click.option("-a", "--artifact-path", metavar="PATH", help="The folder in the run to log it to.")
@click.pass_obj
def log_artifacts(app: App, local_dir: str, run_id: str, artifact_path: str | None) -> None:
    """Log what a folder holds, as MLflow's command of this name does."""
    _check_there(local_dir)
    found = app.run_id(run_id)
    app.open().log_artifacts(found, local_dir, artifact_path)
    app.out.say(f"Logged what {one_line(local_dir)} holds to run {found}")


def _check_there(local: str) -> None:
    if not os.path.exists(local):
        raise ResourceDoesNotExist(f"No such file or folder: {local}")

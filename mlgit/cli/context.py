"""What a command works on: the store, and what people call their runs and experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlgit.cli.output import Output
from mlgit.exceptions import InvalidParameterValue, ResourceDoesNotExist

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from mlgit.entities import Experiment
    from mlgit.registry.registry import Registry
    from mlgit.store.gitstore import GitStore


class App:
    """One invocation of the command line.

    Args:
        output: Where it prints to.
        tracking_uri: The repository; the one here, or the environment's, where none is given.
    """

    def __init__(self, output: Output, tracking_uri: str | None = None) -> None:
        self.out = output
        self.tracking_uri = tracking_uri
        self._store: GitStore | None = None

    def open(self) -> GitStore:
        """The store, its index as it is.

        Raises:
            NotARepository: There is no repository here.
        """
        if self._store is None:
            from mlgit.tracking import uri

            self._store = uri.store_for(self.tracking_uri)
        return self._store

    def store(self) -> GitStore:
        """The store, its index up to date; a progress line tells if that takes a while."""
        store = self.open()
        with self.out.progress("Indexing runs") as progress:
            store.index.sync(progress)
        return store

    def registry(self) -> Registry:
        """The registered models.

        Raises:
            NotARepository: There is no repository here.
        """
        from mlgit.tracking.registered import registry_for

        self.open()
        return registry_for(self.tracking_uri)

    def close(self) -> None:
        """Let go of runs that a command logged to."""
        if self._store is not None:
            self._store.runs.release_all()

    def run_id(self, text: str) -> str:
        """The run that a person means (``GitStore.resolve_run``).

        Raises:
            ResourceDoesNotExist: None is meant.
            InvalidParameterValue: Several could be.
        """
        if not text.strip():
            raise InvalidParameterValue("The run's name is empty", hint="mlgit log lists the runs")
        store = self.store()
        try:
            text.encode()
            return store.resolve_run(text)
        except (UnicodeEncodeError, OverflowError) as error:
            raise ResourceDoesNotExist(
                f"No run is called {text!r}", hint="mlgit log lists the runs"
            ) from error

    def experiment(self, text: str, *, by_id: bool = False) -> Experiment:
        """The experiment that a person means.

        Args:
            text: An id, a name, or the place in the order of making (MLflow's small ids).
            by_id: A number is a place before it is a name, as in MLflow's options.

        Raises:
            ResourceDoesNotExist: There is none.
        """
        store = self.store()
        known = store.index.experiment_names()
        if text in known:
            return store.experiments.get(text)
        if by_id and text.isdecimal():
            found = store.experiments.find(text)
            if found is not None:
                return found
        named = [found_id for found_id, name in known.items() if name == text]
        if len(named) > 1:
            listing = "\n".join(f"  {found_id}" for found_id in sorted(named))
            raise InvalidParameterValue(
                f"Several experiments are called {text!r}:\n{listing}", hint="give the id"
            )
        if named:
            return store.experiments.get(named[0])
        found = store.experiments.find(text) if text.isdecimal() else None
        if found is None:
            import difflib

            close = difflib.get_close_matches(text, known.values(), n=1)
            raise ResourceDoesNotExist(
                f"No experiment is called {text!r}",
                hint=f"did you mean {close[0]!r}?" if close else "mlgit experiments list",
            )
        return found


def one_of(positional: Any, option: Any, what: str) -> Any:
    """The one that was given of an argument and MLflow's option for it.

    Raises:
        UsageError: Both or neither were.
    """
    if positional and option:
        raise click.UsageError(f"{what} is given twice")
    if not positional and not option:
        raise click.UsageError(f"Missing argument '{what}'.")
    return positional or option


class RunType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3
    """A run as a person writes it; the shell completes ids and names of the newest ones."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The newest runs whose id or name begins with what was typed."""
        from click.shell_completion import CompletionItem

        # A shell that completes must never show an error.
        try:
            from mlgit.tracking import uri

            store = uri.store_for(ctx.find_root().params.get("tracking_uri"))
            runs = store.search_runs(None, max_results=200)
        except Exception:
            return []
        found = []
        for run in runs:
            for text, other in (
                (run.info.run_name or "", run.info.run_id[:8]),
                (run.info.run_id, run.info.run_name or ""),
            ):
                if text.startswith(incomplete) and text.isprintable() and " " not in text:
                    found.append(CompletionItem(text, help=other))
                    break
        return found


RUN = RunType()


class ModelType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3
    """A registered model, or a version of one; the shell completes names, and aliases after @."""

    name = "model"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The models, or what one's versions are called, that begin with what was typed."""
        from click.shell_completion import CompletionItem

        try:
            from mlgit.tracking.registered import registry_for

            models = registry_for(ctx.find_root().params.get("tracking_uri")).listed()
        except Exception:
            return []
        found = []
        for model in models:
            texts = [model.name]
            if incomplete.startswith(f"{model.name}@"):
                held = [*model.aliases, *(stage.lower() for stage in model.stages), "latest"]
                texts = [f"{model.name}@{which}" for which in dict.fromkeys(held)]
            found += [
                CompletionItem(text, help=" ".join((model.description or "").split())[:60])
                for text in texts
                if text.startswith(incomplete) and text.isprintable() and " " not in text
            ]
        return found


MODEL = ModelType()

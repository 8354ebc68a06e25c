"""The rows of the web app's tables: what is asked of which server, and what it must reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import quote

import registry_data
import ui_data
from peers import Unavailable
from ui_browser import Browser, Server

SOURCE = Path(__file__).resolve().parents[2]
FASTER = 5


@dataclass
class Context:
    """What is measured, and where.

    Attributes:
        many, few: How many runs there are alone and beside MLflow.
        wide: Metrics, and points of each, of the wide run.
        models: How many registered models.
    """

    root: Path
    mlflow: str | None
    chromium: str
    quick: bool
    pictures: Path | None
    many: int = 100_000
    few: int = 10_000
    wide: tuple[int, int] = (50, 100_000)
    models: int = 100
    servers: dict[str, Server] = field(default_factory=dict)
    browser: Browser | None = None

    def times(self, full: int, quick: int) -> int:
        """A number of repetitions."""
        return quick if self.quick else full

    def drawn(self, server: str, path: str, holds: str, name: str) -> tuple[float, float]:
        """How long a page takes to be drawn, first and again."""
        if self.browser is None:
            self.browser = Browser(self.chromium)
        url = self.server(server).url + path
        if self.pictures:
            self.pictures.mkdir(parents=True, exist_ok=True)
            picture = self.pictures / f"{name}-{server}.png"
            if not picture.exists():
                self.browser.picture(url, holds, picture)
        return self.browser.drawn(url, holds)

    def server(self, name: str) -> Server:
        """The server of "alone", "mlgit" or "mlflow", filled and started where it isn't yet.

        Raises:
            Unavailable: It doesn't start.
        """
        if name not in self.servers:
            command = self._mlflow() if name == "mlflow" else self._repository(name)
            kept = {
                k: v
                for k, v in os.environ.items()
                if not k.startswith(("MLFLOW_", "MLGIT_", "GIT_"))
            }
            kept.pop("PYTHONPATH", None)
            if name != "mlflow":
                kept["PYTHONPATH"] = str(SOURCE)
            server = Server(command, self.root, kept)
            self.servers[name] = server
            server.wait()
        return self.servers[name]

    def restart(self, name: str) -> Server:
        """The same server as a new process, which has read nothing yet."""
        if name in self.servers:
            self.servers.pop(name).__exit__(None, None, None)
        return self.server(name)

    def _repository(self, name: str) -> list[str]:
        folder = self.root / name
        if not folder.exists():
            if name == "alone":
                wide = ui_data.wide_run(*self.wide)
                ui_data.fill_repository(folder, self.many, 1, [wide])
            else:
                ui_data.fill_repository(folder, self.few, self.models, [ui_data.long_run()])
        return [sys.executable, "-m", "mlgit", "-C", str(folder), "ui", "--port", "{port}"]

    def _mlflow(self) -> list[str]:
        if self.mlflow is None:
            raise Unavailable("no interpreter with MLflow was named: --mlflow3 PYTHON")
        path = self.root / "mlflow.db"
        store = f"sqlite:///{path}"
        if not path.exists():
            code = (
                "import sys; from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore; "
                "SqlAlchemyStore(sys.argv[1], 'mlruns')"
            )
            made = [self.mlflow, "-c", code, store]
            done = subprocess.run(made, cwd=self.root, capture_output=True, text=True)
            if done.returncode:
                raise Unavailable(f"MLflow's tables: {done.stderr.strip()[-200:]}")
            ui_data.fill_sqlite(path, self.few, self.models, [ui_data.long_run()])
        command = [self.mlflow, "-m", "mlflow", "server", "--backend-store-uri", store]
        return [*command, "--host", "127.0.0.1", "--port", "{port}"]

    def close(self) -> None:
        """End the servers and the browser."""
        for server in self.servers.values():
            server.__exit__(None, None, None)
        if self.browser:
            self.browser.close()


@dataclass
class Result:
    """What one row found: seconds, by column; the first column is mlgit's.

    Attributes:
        limit: The most that mlgit may take; None: MLflow's first and next visit, over ``FASTER``.
    """

    samples: dict[str, list[float]]
    limit: float | None

    def median(self, column: str) -> float:
        """The median of one column."""
        return median(self.samples[column])

    def ratio(self, visit: str) -> float:
        """How many times as long as mlgit MLflow took."""
        return self.median(f"mlflow {visit}") / self.median(f"mlgit {visit}")

    def passed(self) -> bool:
        """Whether the target is reached."""
        if self.limit is not None:
            return self.median("mlgit") <= self.limit
        return all(self.ratio(visit) >= FASTER for visit in ("first", "again"))


@dataclass(frozen=True)
class Row:
    """One row of one of the tables: "answered" and "drawn" are mlgit alone, "beside" isn't."""

    name: str
    title: str
    how: str
    limit: float | None
    measure: Callable[[Context], Result]


# -- alone


def _answered(path: str, limit: float) -> Callable[[Context], Result]:
    def measure(context: Context) -> Result:
        server = context.server("alone")
        server.answer(path)
        found = [server.answer(path) for _ in range(context.times(9, 3))]
        return Result({"mlgit": found}, limit)

    return measure


def _compared(context: Context) -> str:
    # The newest hundred, as the runs table would choose them.
    return "/compare?runs=" + ",".join(reversed(ui_data.newest(context.many, 100)))


def _compare_answered(context: Context) -> Result:
    return _answered(_compared(context), 1.0)(context)


def _alone_drawn(
    name: str, path: Callable[[Context], str], holds: str, limit: float
) -> Callable[[Context], Result]:
    def measure(context: Context) -> Result:
        found = []
        for _ in range(context.times(5, 2)):
            # Of what a server read and keeps, the next repetition would gain.
            context.restart("alone").answer("/runs")
            found.append(context.drawn("alone", path(context), holds, name)[0])
        return Result({"mlgit": found}, limit)

    return measure


def _wide(context: Context) -> str:
    return f"/runs/{ui_data.wide_run(0, 0).run_id}/charts"


_ALL_IN_VIEW = """(() => {
  const all = [...document.querySelectorAll("figure.chart")];
  return all.length && all.every((one) => one.dataset.drawn || one.getBoundingClientRect().top > innerHeight);
})()"""


# -- beside MLflow


def _says(words: str) -> str:
    """The condition that a page has these words."""
    return f"document.body.textContent.includes({json.dumps(words)})"


def _beside(
    name: str, ours: str, theirs: str, holds: str, theirs_holds: str | None = None
) -> Callable[[Context], Result]:
    def measure(context: Context) -> Result:
        samples: dict[str, list[float]] = {
            f"{who} {visit}": [] for who in ("mlgit", "mlflow") for visit in ("first", "again")
        }
        pages = (("mlgit", ours, holds), ("mlflow", theirs, theirs_holds or holds))
        for number in range(context.times(6, 2)):
            for who, path, condition in pages:
                condition = _filled(condition, context)
                times = context.drawn(who, _filled(path, context), condition, name)
                if number == 0 and not context.quick:
                    continue  # the server's own first time
                for visit, seconds in zip(("first", "again"), times):
                    samples[f"{who} {visit}"].append(seconds)
        return Result(samples, None)

    return measure


def _filled(text: str, context: Context) -> str:
    """An address or condition with the names of what is in both stores."""
    long = ui_data.long_run().run_id
    ids = ui_data.newest(context.few, 20)
    words = {
        "LONG": long,
        "NEWEST": f"run-{context.few - 1}",
        "IDS": ",".join(ids),
        "QUOTED": quote(json.dumps(ids)),
    }
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


_RUN = "/#/experiments/0/runs/<LONG>"
_MODEL = registry_data.model_name(0)
_PLOTLY = 'document.querySelector(".js-plotly-plot .scatterlayer .trace")'

ROWS = [
    Row("first", "the runs table, first page", "answered", 0.3, _answered("/runs", 0.3)),
    Row("late", "its last page", "answered", 0.3,
        lambda context: _answered(f"/runs?page={context.many // 100}", 0.3)(context)),
    Row("filter", "a filter that half of the runs match", "answered", 0.2,
        _answered("/runs?filter=" + quote("metrics.m0 > 0.5"), 0.2)),
    Row("nothing", "a filter that none matches, by part of a param", "answered", 0.2,
        _answered("/runs?filter=" + quote("params.p3 LIKE '%x%'"), 0.2)),
    Row("status", "a filter by status that none matches", "answered", 0.2,
        _answered("/runs?filter=" + quote("status = 'FAILED'"), 0.2)),
    Row("both", "a filter by a tag, a metric and a param", "answered", 0.2,
        _answered("/runs?filter=" + quote("tags.team = 't3' AND metrics.m1 < 0.1 AND params.p1 = '7'"), 0.2)),
    Row("sort", "sorted by a metric", "answered", 0.2,
        _answered("/runs?order=" + quote("metrics.m0 DESC"), 0.2)),
    Row("sort-param", "sorted by a param", "answered", 0.2,
        _answered("/runs?order=" + quote("params.p0 ASC"), 0.2)),
    Row("sort-status", "sorted by status", "answered", 0.2,
        _answered("/runs?order=" + quote("status ASC"), 0.2)),
    Row("group", "grouped by a param", "answered", 0.3, _answered("/runs?group=p0", 0.3)),
    Row("compare", "100 runs compared", "answered", 1.0, _compare_answered),
    Row("draw-table", "the runs table, first page", "drawn", 1.0,
        _alone_drawn("table", lambda context: "/runs", 'document.querySelector("tbody tr")', 1.0)),
    Row("draw-compare", "100 runs compared, with their charts", "drawn", 1.0,
        _alone_drawn("compare", _compared, 'document.querySelector("#charts .drawn canvas, #charts .drawn svg")', 1.0)),
    Row("draw-charts", "the charts of the wide run", "drawn", 1.0,
        _alone_drawn("charts", _wide, _ALL_IN_VIEW, 1.0)),
    Row("experiments", "experiments", "beside", None,
        _beside("experiments", "/", "/#/experiments", _says("Default"))),
    Row("runs", "runs table", "beside", None,
        _beside("runs", "/experiments/0", "/#/experiments/0/runs", _says("<NEWEST>"))),
    Row("run", "run", "beside", None,
        _beside("run", "/runs/<LONG>", _RUN, f"{_says('<LONG>')} && {_says('m4')}")),
    Row("charts", "a run's charts", "beside", None,
        _beside("charts", "/runs/<LONG>/charts", f"{_RUN}/model-metrics",
                'document.querySelector("figure.chart[data-drawn]")', _PLOTLY)),
    Row("comparison", "20 runs compared", "beside", None,
        _beside("comparison", "/compare?runs=<IDS>",
                '/#/compare-runs?runs=<QUOTED>&experiments=' + quote('["0"]'),
                'document.querySelector("#charts .drawn canvas, #charts .drawn svg")',
                'document.querySelector(".js-plotly-plot .main-svg")')),
    Row("models", "registered models", "beside", None,
        _beside("models", "/models?sort=name", "/#/models", _says(registry_data.model_name(0)))),
    Row("model", "a registered model", "beside", None,
        _beside("model", f"/models/{_MODEL}", f"/#/models/{_MODEL}", _says("champion"))),
    Row("version", "its newest version", "beside", None,
        _beside("version", f"/models/{_MODEL}/versions/{ui_data.VERSIONS}",
                f"/#/models/{_MODEL}/versions/{ui_data.VERSIONS}", _says("champion"))),
]  # fmt: skip

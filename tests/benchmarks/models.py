"""The rows about models: to log, load and predict with one of scikit-learn."""

from __future__ import annotations

from peers import Peer
from rows import Context, Result, Sample, alternate, places, row

_WIDE = {"rows": 100_000, "columns": 20}


@row("log-model", "`log_model` of a scikit-learn model, no example", "≤ 1/5")
def measure_log_model(context: Context) -> Result:
    at = places(context)
    firsts: dict[str, float] = {}

    def once(peer: Peer) -> dict[str, list[float]]:
        found = peer.task(at[peer.key], "log_model", repeats=context.times(5, 2))
        firsts.setdefault(peer.key, found["wall"][0])
        return {name: times[1:] for name, times in found.items()}

    samples = alternate(context, context.times(3, 1), once)
    shown = ", ".join(f"{key} {seconds:.2f} s" for key, seconds in firsts.items())
    return Result(samples, 1 / 5, notes=[f"requirements inferred; the first of a process: {shown}"])


@row("load-model", "`load_model` of it, by `runs:/`", "≤ 1/3")
def measure_load_model(context: Context) -> Result:
    at = places(context)
    samples = alternate(
        context,
        context.times(3, 1),
        lambda peer: peer.task(at[peer.key], "load_model", repeats=context.times(15, 3)),
    )
    return Result(samples, 1 / 3)


@row("predict", "pyfunc's overhead on 100,000 × 20 with a signature", "≤ 1/2")
def measure_predict(context: Context) -> Result:
    at = places(context)
    samples = alternate(
        context,
        context.times(3, 1),
        lambda peer: peer.task(at[peer.key], "predict", repeats=context.times(15, 3), **_WIDE),
    )
    return Result(samples, 1 / 2, notes=["a model that does nothing but give back a column"])


@row("import-sklearn", "`import mlgit.sklearn` and scikit-learn, against scikit-learn", "≤ 1.05")
def measure_import_sklearn(context: Context) -> Result:
    peer = context.mlgit
    place = places(context)[peer.key]
    samples = {"mlgit": Sample(), "bare": Sample()}
    for _ in range(context.times(11, 3)):
        for key, code in (("bare", "import sklearn"), ("mlgit", "import sklearn, mlgit.sklearn")):
            _, wall, cpu = peer.run(place, [peer.python, "-c", code])
            samples[key].add({"wall": [wall], "cpu": [cpu]})
    return Result(samples, 1.05, reference="bare")

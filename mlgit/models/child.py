"""Running a model in a process of its own, by the Python of another environment or this one.

The parent fetches the model and builds the environment; the child gets a folder, and answers
by a file, so that what a model prints goes where it always goes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlgit import exceptions, settings
from mlgit.exceptions import MlgitException
from mlgit.models import environments
from mlgit.models.folder import opened
from mlgit.models.running import Step, Task, Trial, predict_task, try_model

if TYPE_CHECKING:
    from mlgit.store.gitstore import GitStore

# The script's folder is the first on the child's sys.path, and holds mlgit and nothing else:
# neither the working directory nor what is installed beside the running mlgit is seen.
_SCRIPT = "import sys\nfrom mlgit.models.child import main\nsys.exit(main(sys.argv[1]))\n"

# No process ends with it.
_TOO_LONG = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a child may take, where somebody else than who asks for it wrote its model.

    Attributes:
        seconds: How long it may run, its environment aside.
        memory: How many bytes of memory it may have.
        file_size: How many bytes a file that it writes may have.
    """

    seconds: float
    memory: int
    file_size: int


@dataclass(frozen=True)
class Surroundings:
    """What a child runs in.

    Attributes:
        manager: Of the environment; "local" is this one.
        with_mlflow: Install MLflow, too, where mlgit named it for MLflow's own tools.
        override: Requirements that count before the model's.
        variables: Of the child's environment.
        say: Told that an environment is being built.
        limits: What it may take; None for whatever it wants.
        heard: Told the end of what the child printed, which then isn't printed.
    """

    manager: str
    with_mlflow: bool = False
    override: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None
    limits: Limits | None = None
    heard: Callable[[str], None] | None = None


def predict_in_child(task: Task, around: Surroundings, *, store: GitStore | None = None) -> int:
    """Predict in a child process; arguments and errors are those of ``predict_task``.

    Args:
        task: What to do; standard input and output are the child's, too.
        around: What it runs in.
        store: The repository of runs; the one in use where None.

    Returns:
        How many rows were predicted on.

    Raises:
        MissingDependency: The environment can't be built.
        InvalidState: It took more than it may.
    """
    task = task.checked()
    with opened(task.model, allow_pickle=task.allow_pickle, store=store) as folder:
        place = folder.everything()
        python = _python(place, around)
        local = replace(task, model=place, allow_pickle=folder.allows_code)
        capture = around.heard is not None
        answer, log = _run(python, {"predict": asdict(local)}, around, capture=capture)
        if around.heard is not None:
            around.heard(log)
        return int(_result(answer, place, task.model))


def try_in_child(
    model: str,
    around: Surroundings,
    *,
    allow_pickle: bool | None = None,
    store: GitStore | None = None,
) -> Trial:
    """Try a model in a child process: its environment, loading, its example, its outputs.

    Args:
        model: Any URI of it.
        around: What it runs in.
        allow_pickle: Whether it may run code; the setting where None.
        store: The repository of runs; the one in use where None.

    Raises:
        ResourceDoesNotExist, CorruptData: There is no such model, or it can't be fetched.
    """
    with opened(model, allow_pickle=allow_pickle, store=store) as folder:
        place = folder.everything()
        began = time.monotonic()
        try:
            python = _python(place, around)
        except MlgitException as error:
            took = time.monotonic() - began
            first, _, log = error.message.partition("\n")
            message = f"{first}\nhint: {error.hint}" if error.hint else first
            return Trial([Step("environment", False, message, took, log)])
        trial = Trial([Step("environment", True, around.manager, time.monotonic() - began)])
        job = {"try": {"model": place, "allow_pickle": folder.allows_code}}
        answer, log = _run(python, job, around, capture=True)
        if "result" in answer:
            trial.steps += [Step(**step) for step in answer["result"]]
            if not trial.ok and not trial.steps[-1].log:
                trial.steps[-1].log = log
        else:
            trial.steps.append(Step("load", False, answer["error"]["message"], 0.0, log))
        for step in trial.steps:
            step.message = step.message.replace(place, model)
        return trial


def _python(folder: str, around: Surroundings) -> str:
    if environments.check_manager(around.manager) == "local":
        return sys.executable
    need = environments.wanted(
        folder, around.manager, with_mlflow=around.with_mlflow, override=around.override
    )
    return environments.python_of(need, around.say)


def _run(
    python: str, job: dict[str, Any], around: Surroundings, *, capture: bool
) -> tuple[dict[str, Any], str]:
    """Run a job; its answer, and the end of what was printed where that is captured."""
    local = around.manager == "local"
    changes = dict(around.variables)
    limits = around.limits
    if limits is not None:
        job = {**job, "limits": asdict(limits)}
    environment = settings.with_changes(changes) if local else settings.for_another_python(changes)
    with tempfile.TemporaryDirectory(prefix="mlgit-job-") as folder:
        environments.link_mlgit(folder)
        with open(f"{folder}/run_model.py", "w", encoding="utf-8") as f:
            f.write(_SCRIPT)
        with open(f"{folder}/job.json", "w", encoding="utf-8") as f:
            json.dump(job, f)
        options = [] if local else ["-s"]
        with open(f"{folder}/log", "w+", encoding="utf-8", errors="replace") as log:
            streams = (
                {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
                if capture
                else {}
            )
            process = subprocess.Popen(
                [python, *options, f"{folder}/run_model.py", folder],
                env=environment,
                start_new_session=limits is not None,
                **streams,  # type: ignore[call-overload]
            )
            code = _wait(process) if limits is None else _wait_within(process, limits.seconds)
            log.seek(0)
            tail = "\n".join(log.read().rstrip().splitlines()[-20:])
        try:
            with open(f"{folder}/answer.json", encoding="utf-8") as f:
                answer: dict[str, Any] = json.load(f)
        except (OSError, ValueError):
            if limits is not None and code == _TOO_LONG:
                message = f"The model took more than {limits.seconds:g} s, and was ended"
                return {"error": {"kind": "InvalidState", "message": message}}, tail
            how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            message = f"The process that ran the model {how}"
            answer = {"error": {"kind": "MlgitException", "message": message}}
        return answer, tail


def _wait(process: subprocess.Popen[Any]) -> int:
    """Wait for the child; what interrupts this process interrupts it, and it cleans up."""
    try:
        return process.wait()
    except BaseException:
        # Ctrl-C on a terminal has reached the child, too; a second signal would disturb it.
        for end in (0, signal.SIGINT, signal.SIGKILL):
            if end:
                process.send_signal(end)
            try:
                process.wait(timeout=2)
                break
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                continue
        raise


def _wait_within(process: subprocess.Popen[Any], seconds: float) -> int:
    """Wait so long for the child, and end what is left of it and of all that it started."""
    deadline = time.monotonic() + seconds
    over = False
    try:
        # While nobody has asked for its exit status, its number is no other process's.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            over = time.monotonic() > deadline
            if over:
                break
            time.sleep(0.02)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        code = process.wait()
    return _TOO_LONG if over else code


def _result(answer: dict[str, Any], place: str, uri: str) -> Any:
    if "result" in answer:
        return answer["result"]
    error = answer["error"]
    if error["kind"] == "KeyboardInterrupt":
        raise KeyboardInterrupt
    kind = getattr(exceptions, error["kind"], MlgitException)
    found: MlgitException = kind.__new__(kind)  # FilterError's arguments are others
    MlgitException.__init__(
        found,
        error["message"].replace(place, uri),
        error.get("code"),
        hint=error.get("hint", ""),
    )
    raise found


# -- in the child


def main(folder: str) -> int:
    """Do the job that a folder holds, and write its answer there."""
    with open(f"{folder}/job.json", encoding="utf-8") as f:
        job = json.load(f)
    code = 1
    try:
        _limit(job.get("limits"))
        answer: dict[str, Any] = {"result": _do(job)}
        code = 0
    except MlgitException as error:
        answer = {
            "error": {
                "kind": type(error).__name__,
                "message": error.message,
                "code": error.error_code,
                "hint": error.hint,
            }
        }
    except BrokenPipeError:
        answer = {"result": 0}  # who reads the predictions has seen enough
    except KeyboardInterrupt:
        answer = {"error": {"kind": "KeyboardInterrupt", "message": ""}}
        code = 130
    except MemoryError:
        message = "The model needs more memory than it may have"
        answer = {"error": {"kind": "InvalidState", "message": message}}
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        answer = {"error": {"kind": "MlgitException", "message": message}}
    temporary = f"{folder}/answer.json.tmp"
    with open(temporary, "w", encoding="utf-8") as f:
        json.dump(answer, f)
    os.replace(temporary, f"{folder}/answer.json")
    return code


def _limit(limits: dict[str, Any] | None) -> None:
    """Take less, for good: what this process starts may have no more either."""
    if limits is None:
        return
    import resource

    memory, seconds = int(limits["memory"]), int(limits["seconds"]) + 1
    for name, value in (
        # Not RLIMIT_AS: frameworks map files and reserve room that they never touch.
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, int(limits["file_size"])),
        (resource.RLIMIT_CPU, seconds * (os.cpu_count() or 1)),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def _do(job: dict[str, Any]) -> Any:
    if "predict" in job:
        return predict_task(Task(**job["predict"]))
    return [asdict(step) for step in try_model(**job["try"]).steps]

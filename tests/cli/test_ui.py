"""``mlgit ui``: what it says, whom it lets in, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlgit
from mlgit.cli.main import cli

pytest.importorskip("waitress")

SOURCE = str(Path(mlgit.__file__).resolve().parents[1])


class Started:
    """A server in a process of its own."""

    def __init__(self, cwd: Path, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlgit", "ui", "--port", "0", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": SOURCE, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def get(self, path: str, **headers: str) -> str:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        _, error = self.process.communicate(timeout=60)
        return self.process.returncode, error


@pytest.fixture
def started(repo_dir: Path) -> Iterator[list[Started]]:
    servers: list[Started] = []
    yield servers
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_cleanly(
    repo_dir: Path, started: list[Started], number: int
) -> None:
    server = Started(repo_dir)
    started.append(server)
    assert server.url.startswith("http://127.0.0.1:")
    assert "No runs yet" in server.get("")
    code, error = server.end(number)
    assert code == 0 and "Traceback" not in error
    assert "Ctrl-C stops it; it only reads (--allow-write)" in error


def test_it_ends_while_somebody_watches_a_going_run(repo_dir: Path, started: list[Started]) -> None:
    uri_run = (
        "import mlgit, time, sys\n"
        "with mlgit.start_run() as run:\n"
        "    print(run.info.run_id, flush=True)\n"
        "    for n in range(1000):\n"
        "        mlgit.log_metric('m', n, step=n); time.sleep(0.02)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", uri_run],
        cwd=repo_dir,
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        run = program.stdout.readline().strip()
        server = Started(repo_dir)
        started.append(server)
        with urllib.request.urlopen(f"{server.url}api/live?run={run}", timeout=60) as stream:
            lines = [stream.readline() for _ in range(4)]
            assert lines[0] == b"event: hello\n" and lines[3] == b"event: metrics\n"
            began = time.monotonic()
            code, error = server.end()
            assert code == 0 and "Traceback" not in error
            assert time.monotonic() - began < 30
    finally:
        program.kill()
        program.communicate()


def test_who_has_gone_gives_the_stream_back(repo_dir: Path, started: list[Started]) -> None:
    program = "import mlgit\nfrom mlgit import MlgitClient\nprint(MlgitClient().create_run('0').info.run_id)"
    env = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repo_dir, env=env, capture_output=True, text=True
    )
    run = done.stdout.strip()
    server = Started(repo_dir)
    started.append(server)
    held = []
    for _ in range(16):
        held.append(urllib.request.urlopen(f"{server.url}api/live?run={run}", timeout=60))
        held[-1].readline()
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.get(f"api/live?run={run}")
    assert refused.value.code == 503
    assert "No runs yet" not in server.get("runs")  # pages are served meanwhile
    for stream in held:
        stream.close()
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{server.url}api/live?run={run}", timeout=60) as stream:
                assert stream.readline() == b"event: hello\n"
            break
        except urllib.error.HTTPError:
            time.sleep(0.1)
    else:
        pytest.fail("the streams of those who have gone are held still")


def test_a_token_of_the_environment_is_asked_for(repo_dir: Path, started: list[Started]) -> None:
    token = "a-secret-of-enough-letters"
    server = Started(repo_dir, MLGIT_UI_TOKEN=token)
    started.append(server)
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.get("", Accept="image/png")
    assert refused.value.code == 401
    assert "Experiments" in server.get("", Authorization=f"Bearer {token}")


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as done:
        cli(["ui", *arguments])
    return int(done.value.code or 0), capsys.readouterr().err


def test_what_cannot_be_is_said(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo_dir)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, error = _run(capsys, "--port", port)
    assert code == 4 and f"port {port}" in error and "--port" in error
    code, error = _run(capsys, "--host", "0.0.0.0")
    assert code == 2 and "needs a token" in error and "MLGIT_UI_TOKEN" in error
    code, error = _run(capsys, "--host", "no.such.host.invalid", "--no-auth")
    assert code == 2 and "no.such.host.invalid" in error
    code, error = _run(capsys, "--token", "short")
    assert code == 2
    code, error = _run(capsys, "--port", "70000")
    assert code == 2
    monkeypatch.chdir(repo_dir.parent)
    code, error = _run(capsys)
    assert code == 128


def test_the_arguments_of_the_guides(repo_dir: Path, started: list[Started]) -> None:
    server = Started(
        repo_dir, "--backend-store-uri", "sqlite:///other.db", "--default-artifact-root", "./x"
    )
    started.append(server)
    assert "other.db" in server.get("")
    code, error = server.end()
    assert code == 0 and "--default-artifact-root isn't needed" in error


def test_without_waitress_it_says_what_to_install(
    repo_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo_dir)
    monkeypatch.setitem(sys.modules, "waitress.server", None)
    code, error = _run(capsys, "--port", "0")
    assert code == 6 and "pip install 'mlgit[ui]'" in error

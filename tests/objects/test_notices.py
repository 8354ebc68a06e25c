"""Notices: who pushes and who removes see each other, in whatever order they come."""

from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from mlgit.objects import notices
from mlgit.objects.notices import Watch, removing
from mlgit.objects.remote import RemoteObjects


@pytest.fixture(params=["folder", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> RemoteObjects:
    url = str(tmp_path) if request.param == "folder" else f"memory://notices-{tmp_path.name}"
    return RemoteObjects(url)


def test_nobody_disturbs(remote: RemoteObjects) -> None:
    watch = Watch(remote)
    assert not watch.disturbed()
    with removing(remote):
        pass
    assert not Watch(remote).disturbed()


def test_one_that_came_and_went(remote: RemoteObjects) -> None:
    for _ in range(2):
        watch = Watch(remote)
        with removing(remote) as in_time:
            assert in_time()
        assert watch.disturbed()
        assert not watch.disturbed()
    assert len(notices._names(remote)) == 1  # the last one's trace, and no more


def test_one_that_was_there_before(remote: RemoteObjects) -> None:
    with removing(remote):
        watch = Watch(remote)
    assert watch.disturbed() and not watch.disturbed()


def test_one_that_is_there_is_waited_for(remote: RemoteObjects) -> None:
    watch = Watch(remote)
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(watch.disturbed(0.01)))
    with removing(remote):
        thread.start()
        time.sleep(0.2)
        assert told == []
    thread.join(10)
    assert told == [True]


def test_a_dead_one_is_not(tmp_path: Path) -> None:
    remote = RemoteObjects(str(tmp_path))
    notices._put(remote, "going-dead")
    watch = Watch(remote)
    (path,) = tmp_path.glob("objects/gc/*")
    os.utime(path, (time.time() - notices.LONGEST - 1,) * 2)
    watch = Watch(remote)
    assert not watch.disturbed()


def test_it_is_renewed_as_long_as_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "HEARTBEAT", 0.01)
    monkeypatch.setattr(notices, "LONGEST", 0.6)
    remote = RemoteObjects(str(tmp_path))
    with removing(remote) as in_time:
        time.sleep(1.0)
        assert in_time() and any(n.startswith("going-") for n in notices._names(remote))
        monkeypatch.setattr(notices, "_put", lambda *_: time.sleep(0.4))
        time.sleep(0.8)
        assert not in_time()
        monkeypatch.undo()
    assert len(notices._names(remote)) == 1


def test_every_order_of_steps() -> None:
    """The protocol itself: in no order of steps does a ref that was put name what is gone.

    Push: watch, find the object there, put the ref, ask whether it was disturbed (and if so,
    put it again). Remove: notice, look at the refs, delete what none names, notice's end.
    """
    push, remove = ["watch", "find", "ref", "ask"], ["going", "look", "delete", "done"]
    for places in itertools.combinations(range(8), 4):
        steps = iter(push), iter(remove)
        order = [next(steps[0] if at in places else steps[1]) for at in range(8)]
        there, refs, looked = True, False, False
        going = traces = 0
        seen: tuple[int, int] = (0, 0)
        uploaded = waits = False
        for step in order:
            if step == "watch":
                seen = (going, traces)
            elif step == "find" and not there:
                there = uploaded = True
            elif step == "ref":
                refs = True
            elif step == "ask":
                waits = bool(going)
                if not waits and ((going, traces) != seen or seen[0]) and not there:
                    there = True
            elif step == "going":
                going = 1
            elif step == "look":
                looked = refs or uploaded  # what was put just now is too new to go
            elif step == "delete" and not looked and not uploaded:
                there = False
            elif step == "done":
                going, traces = 0, traces + 1
                if waits:
                    there = True  # it goes on from here, and puts it again
        assert there, order

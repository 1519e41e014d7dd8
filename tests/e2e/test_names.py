"""Workers have the names that their program gave them, wherever they are shown."""

from mlxtop.recording.reader import Recording
from tests.agent.program import until
from tests.e2e.place import Place, python

SERVE = """\
import multiprocessing as mp, os, time
def work():
    import mlx.core as mx
    x = mx.ones((512, 512)); mx.eval(x)
    while os.getppid() == parent: time.sleep(0.05)
parent = os.getppid()
if __name__ == "__main__":
    parent = os.getpid()
    context = mp.get_context(os.environ.get("METHOD", "spawn"))
    workers = [context.Process(target=work, name=f"runner-{i}", daemon=True) for i in range(2)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
"""
NAMES = {"runner-0", "runner-1"}


def test_run_and_its_recording_name_workers(place: Place) -> None:
    path = place.folder / "run.mlxtop"
    screen = place.screen("run", "--record", path, "--", *python([place.script(SERVE, "serve.py")]))
    for name in sorted(NAMES):
        screen.value(rf"\b{name}\b")
    assert "multiprocessing" not in screen.text()
    screen.press("q")
    screen.wait_for("Stop the program")
    screen.press("enter")
    screen.exit()
    recording = Recording(path)
    assert {session.title for session in recording.sessions} == NAMES
    assert {session.label for session in recording.sessions} == NAMES
    recording.close()


def test_ps_and_top_name_workers(place: Place) -> None:
    place.start(place.script(SERVE, "serve.py"), MLXTOP="1")
    until(lambda: {row["command"] for row in place.ps().values() if row["active"]} == NAMES)
    screen = place.screen("top")
    for name in sorted(NAMES):
        screen.value(rf"\b{name}\b")
    screen.press("q")
    screen.exit()


def test_a_worker_without_an_agent_is_shown_by_its_program(place: Place) -> None:
    script = place.script(SERVE, "serve.py")
    place.start(script)
    found = until(lambda: [row for row in place.ps().values() if "worker" in row["command"]][1:])
    assert {row["command"] for row in found} == {f"a worker of {script}"}


def test_attached_a_worker_has_its_name(place: Place) -> None:
    place.start(place.script(SERVE, "serve.py"), MLXTOP="1")
    rows = until(
        lambda: [row for row in place.ps().values() if row["active"] and row["command"] == "runner-1"]
    )
    screen = place.screen("attach", str(rows[0]["pid"]))
    screen.value(r"^ mlxtop .*\brunner-1\b")
    screen.press("q")
    assert screen.exit() == 0

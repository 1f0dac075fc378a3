"""Tasks of a user who waits: each leaves a line in ``$PLANT_FOLDER``, so that a test can count its effects."""

import os
import signal
import time
from pathlib import Path

from celery import shared_task

from supervision import Client, coordinator, once, progress, send

FOLDER = Path(os.environ["PLANT_FOLDER"])


def noted(line: str) -> None:
    descriptor = os.open(FOLDER / "notes", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


@shared_task(name="user.note", ignore_result=False)
def note(value, tag=""):
    noted(f"{tag}:{value}")
    return [tag, value]


@shared_task(name="user.failed")
def failed(_request, error, _traceback):
    noted(f"failed:{type(error).__name__}")


@shared_task(name="user.hooked", acks_late=True)
def hooked(subject, **_event):
    noted(f"hooked:{subject}")


@shared_task(name="user.send", ignore_result=False, acks_late=True)
def sends(name, payload=None, id=None):  # noqa: A002 # as `send` has it
    return str(send(name, payload, id=id).id)


@shared_task(name="user.submit", acks_late=True)
def submit(key):
    """As any program does it, in a process that can be killed."""
    with Client() as client:
        client.submit("user.note", ["done"], {"tag": key}, key=key, queue="supervision.actions")


@shared_task(name="user.work", ignore_result=False, acks_late=True)
@coordinator(lambda name: name)
def work(name):
    """A coordinator for as long as two heartbeats of a hasty worker."""
    noted(f"worked:{name}")
    time.sleep(1)


@shared_task(name="user.build", ignore_result=False, acks_late=False)
@coordinator(lambda name, _how: name)
def build(name, how):
    """A coordinator that ends in every way one can."""
    noted(f"began:{name}")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raises":
        raise RuntimeError("no bricks")
    deadline = time.monotonic() + 30
    while how == "hangs" and time.monotonic() < deadline and not (FOLDER / "go").exists():
        time.sleep(0.05)
    return name


@shared_task(name="user.move", ignore_result=False, acks_late=True)
@coordinator(lambda name: name, progress=4)
def move(name):
    """Moves until it is told to halt, and then lives on without, until it is told to go."""
    steps = 0
    while not (FOLDER / f"{name}-go").exists():
        if not (FOLDER / f"{name}-halt").exists():
            steps += 1
            progress(f"step {steps}")
        time.sleep(0.05)
    return send(f"{name}/moved", steps).sender


@shared_task(name="user.stand_in", ignore_result=False, acks_late=True)
@coordinator(lambda name: name)
def stand_in(name):
    """Comes instead of a coordinator, under its name."""
    noted(f"stands in:{name}")
    send(f"{name}/done", "instead", id=name)


@shared_task(name="user.add")
def add(one, other=0):
    """As a user writes it: its result is not stored unless somebody asks for it."""
    return one + other


@shared_task(name="user.total", ignore_result=False)
def total(numbers, tag="total"):
    noted(f"{tag}:{sum(numbers)}")
    return sum(numbers)


@shared_task(name="user.boom")
def boom(why):
    raise ValueError(why)


@shared_task(name="user.pay", bind=True, ignore_result=False)
@once(lease=2)
def pay(self, name, how="pays"):
    """An effect that must not happen twice; how it goes the first time is said by ``how``."""
    first = not (FOLDER / f"{name}.first").exists()
    (FOLDER / f"{name}.first").touch()
    if first and how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if first and how == "raises":
        raise self.retry(countdown=0.1)
    deadline = time.monotonic() + 30
    while first and how == "hangs" and time.monotonic() < deadline and not (FOLDER / name).exists():
        time.sleep(0.05)
    noted(f"paid:{name}")
    return name

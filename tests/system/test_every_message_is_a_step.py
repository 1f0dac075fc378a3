"""Whatever sends a message is a step that somebody is killed before and after, or is here with the reason why not."""

import ast
from collections.abc import Iterator

import faults
from sources import Source, sources

SENDS = frozenset({"apply_async", "send_task", "delay", "retry", "replace"})

OTHERS = {
    "structs.replace": "of msgspec, which changes a field",
    "moment.replace": "of datetime",
    "waiting.replace": "of ours, and in the list itself",
}
"""What is called the same and sends nothing."""

NO_STEP = {
    "publish.send": "the steps are the kinds of its messages",
    "celery_broker.canary": "says nothing and changes nothing: what is lost of it is put again by the next look",
}

ROOMS = ("supervision/engine/", "supervision/kinds/celery_", "tasks/")
"""Who knows Celery (`test_directions`); the demo does, too, as any user of it."""


def sites(source: Source) -> Iterator[str]:
    """Functions that send, by their module's last name and their own."""
    for function in source.functions():
        for node in ast.walk(function):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SENDS):
                continue
            if not ast.unparse(node.func).endswith(tuple(OTHERS)):
                yield f"{source.module.rpartition('.')[2]}.{function.name}"


def test_every_function_that_sends_a_message_is_a_step() -> None:
    found = {site for source in sources() if source.name.startswith(ROOMS) for site in sites(source)}
    assert found == {*faults.OF_WAITS, *faults.OF_MAIL, *NO_STEP}


def test_nobody_else_sends() -> None:
    knows = {"celery", "kombu"}
    elsewhere = {
        source.name
        for source in sources()
        if not source.name.startswith((*ROOMS, "supervision/demo/"))
        and any(name.split(".")[0] in knows for name in source.imports())
        and list(sites(source))
    }
    assert elsewhere == set()

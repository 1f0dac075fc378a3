"""A store of the test's own namespace on each kind of server, and more connections to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from lamps import Post, plant

from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.store import Store


@pytest.fixture
def connect(server: EmbeddedStore, namespace: str) -> Iterator[Callable[[], Store]]:
    """Makes stores with connections of their own, all on the test's namespace."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Store(server.url, namespace)))


@pytest.fixture
def store(connect: Callable[[], Store]) -> Store:
    """The store under test."""
    return connect()


@pytest.fixture
def post() -> Post:
    """The publisher of `runtime`."""
    return Post()


@pytest.fixture
def runtime(store: Store, post: Post) -> Runtime:
    """The use cases over two lamps."""
    supervisor = plant()
    return Runtime(store, post, {supervisor.path: supervisor})

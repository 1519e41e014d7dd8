"""The simulated Mac."""

from collections.abc import Iterator

import pytest

from tests.mac.place import Mac, library


@pytest.fixture
def mac(processes: None) -> Iterator[Mac]:
    """A Mac of the test's own; whatever was started there is ended with the test."""
    mac = Mac(library())
    try:
        yield mac
    finally:
        mac.end()

"""Watched programs, ended with the test."""

from collections.abc import Iterator

import pytest

from tests.agent.subject import Start, starting


@pytest.fixture
def start(processes: None) -> Iterator[Start]:
    with starting() as start:
        yield start

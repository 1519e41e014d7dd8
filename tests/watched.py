"""The fixture of the folders whose tests watch programs."""

from collections.abc import Iterator

import pytest

from tests.agent.program import Start, starting


@pytest.fixture
def start(processes: None) -> Iterator[Start]:
    """Starts watched programs, which end with the test."""
    with starting() as start:
        yield start

import math

import pytest

from mlxtop.tui import meter
from mlxtop.tui.app import MlxtopApp
from tests.tui.recorded import RecordedSession


@pytest.fixture(autouse=True)
def _no_own_cost(monkeypatch):
    """What watching costs is measured, and would be another figure in every picture."""
    monkeypatch.setattr(meter, "WINDOW", math.inf)


@pytest.fixture
def session() -> RecordedSession:
    return RecordedSession()


@pytest.fixture
def app(session: RecordedSession) -> MlxtopApp:
    return MlxtopApp(session)

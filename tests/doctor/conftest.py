"""Watched programs, ended with the test."""

from tests.agent.conftest import start

__all__ = ["start"]

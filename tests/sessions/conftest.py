"""Watched programs, ended with the test."""

from tests.watched import start

__all__ = ["start"]

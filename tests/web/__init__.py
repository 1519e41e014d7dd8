"""Tests of screens in a browser."""

"""Reads samples out of what a program prints: plain functions of bytes and text."""

"""Fixtures for the tests of families; makes `protocol` importable from their folders."""

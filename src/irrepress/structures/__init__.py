"""Atomic structures with their labels: reading, generating, storing, splitting."""

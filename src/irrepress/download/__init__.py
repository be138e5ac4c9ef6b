"""Transfers from the web: resumed, verified, bounded."""

"""A study as types: its config, what it makes, its records, and what is checked before it runs."""

"""What all families share, written once."""

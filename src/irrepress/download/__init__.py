"""Downloads that resume, are verified, and are bounded in time and size."""

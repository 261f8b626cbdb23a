"""Which kernel is meant, and which files of the repository are its own."""

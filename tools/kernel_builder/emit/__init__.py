"""From a kernel and its modules to one file, as script or notebook, with its map."""

"""What `make` calls: the stack of a rehearsal, the demo that drives it, and the project's own checks."""

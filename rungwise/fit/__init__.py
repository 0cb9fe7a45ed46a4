"""Training, one file per technique."""

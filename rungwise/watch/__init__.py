"""After the release: what production says, on its way back into the data."""

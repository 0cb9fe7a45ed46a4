"""HTTP to the engines behind the endpoint: one POST, its answer whole or in pieces, and every way to fail as a Failure."""

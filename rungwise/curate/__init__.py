"""What a row is worth: pure functions on rows."""

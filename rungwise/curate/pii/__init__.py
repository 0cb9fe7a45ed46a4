"""Personal data and secrets in text: found, masked, replaced, and brought back by those who hold the key."""

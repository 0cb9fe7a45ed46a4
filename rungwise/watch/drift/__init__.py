"""What changed between what was and what is."""

"""Climbing again on what production brought: what was gathered, whether to change, and the trials before users meet the change."""

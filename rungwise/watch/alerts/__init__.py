"""Alerts: what of all that was read somebody must know, and how they come to know it once."""

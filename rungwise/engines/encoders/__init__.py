"""Texts to vectors: sentence encoders on this machine, and those behind an address."""

"""Putting a candidate in front of users: gates, the pointer to the live release, and comparing variants."""

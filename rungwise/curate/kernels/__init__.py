"""Loops that Python is too slow for, compiled by numba; the one place that imports it.

Each kernel works on UTF-8 bytes and offsets and is imported in the function that needs it.
"""

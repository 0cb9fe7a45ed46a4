"""Traces at rest: written in groups that are committed before they are acknowledged, searched by anything that they hold."""

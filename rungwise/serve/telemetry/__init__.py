"""Traces in the words of OpenTelemetry, sent to whoever collects them."""

"""Simulated users of an application: months of requests, answers and feedback whose truth is known."""

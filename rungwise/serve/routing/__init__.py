"""Which engine answers: priority and fallback, breakers, a budget for retries, timeouts at every level."""

"""Running what was fitted here: checked weights, models of them, adapters, generation."""

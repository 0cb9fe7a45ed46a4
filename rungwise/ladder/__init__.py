"""One file per rung, cheapest first; the forecast, the climb and its decision."""

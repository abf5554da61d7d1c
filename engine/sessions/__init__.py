"""When a market is open and what a strategy may do then, as arrays."""

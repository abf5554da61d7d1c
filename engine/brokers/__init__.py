"""Venues: the simulated one, and later real ones, behind the ``Broker`` port."""

"""Faults made by hand, one at a time: tests that let one of them pass have no teeth."""

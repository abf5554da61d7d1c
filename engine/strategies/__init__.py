"""Strategies that ship with the engine, one short file each."""

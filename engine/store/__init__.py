"""Tick and bar files in and out, to exact integer columns and back."""

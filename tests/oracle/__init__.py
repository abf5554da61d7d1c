"""Independent naive references, and the engine held against them."""

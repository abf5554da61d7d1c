"""Looking at a run from outside the tick path."""

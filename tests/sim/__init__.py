"""The simulated world: a whole paper session, attacked from a seed, in virtual time."""

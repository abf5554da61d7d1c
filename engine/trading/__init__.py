"""The kernel and its hands: inputs in, decisions out. Pure; nothing here knows files, sockets or clocks."""

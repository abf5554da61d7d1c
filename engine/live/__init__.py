"""A session as it happens: the kernel on a feed, its recording and replay, and who watches it."""

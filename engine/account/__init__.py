"""The account: orders, exact money, the limits on both, and what is said of the result."""

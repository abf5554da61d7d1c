"""What becomes of a rule: the exact integers and nodes of the core's graph, and how people read them."""

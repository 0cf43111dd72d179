"""Near-duplicate engine: Arrow texts in, clusters out. `find.find_near` reads from top to bottom."""

"""The only rooms that know Redis.

`keys` is the map of everything stored, `lua/` holds one operation per file, and one module per noun calls them. Every
change of state is one script: it looks, decides and writes in one step, by the store's clock.
"""

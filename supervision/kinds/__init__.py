"""Ready-made children: real things that need supervising everywhere."""

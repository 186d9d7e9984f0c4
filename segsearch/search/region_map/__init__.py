"""A map of a library: all its regions in two dimensions, in clusters with the words nearest."""

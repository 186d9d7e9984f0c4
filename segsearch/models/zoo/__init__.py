"""Models that are inside the package, or can be pulled and imported; their files, checked."""

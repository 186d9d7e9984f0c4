"""Query -> vector -> candidates -> ranked hits."""

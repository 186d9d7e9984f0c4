"""Measures search by region on pictures whose truth is known, beside what other tools do."""

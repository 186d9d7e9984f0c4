"""Values, arrays, queries, filters, errors, settings: what every room speaks in."""

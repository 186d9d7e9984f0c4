"""SAM's mask decoder, computing nothing twice; exact."""

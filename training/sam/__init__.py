"""How the embedded SAM is made."""

"""Commands that stand beside a library: they measure and manage models."""

"""What is kept: the catalog (the truth), the index (follows it), keys, maintenance."""

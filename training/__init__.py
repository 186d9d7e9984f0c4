"""How the embedded models are made: one command a step, seeded, resumable."""

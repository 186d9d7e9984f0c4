"""SAM's mask decoder with the same answers, faster: what prompts share is computed once."""

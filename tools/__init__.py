"""What developers run beside the tests: what the page is made of, and the types it is held to."""

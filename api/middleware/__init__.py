"""What every request passes: keys, guards, HEAD, ids and metrics."""

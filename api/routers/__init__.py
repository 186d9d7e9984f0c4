"""The routes of the HTTP API, a file for each thing they are about."""

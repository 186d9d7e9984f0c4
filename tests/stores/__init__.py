"""Libraries whose pictures lie in a real S3 server, and whose nodes share one database."""

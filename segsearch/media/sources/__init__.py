"""Where picture files lie: folders, tar shards, fsspec stores, web addresses. Bytes, no pixels."""

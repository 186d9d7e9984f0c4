"""An index of a library in Milvus, which all machines share."""

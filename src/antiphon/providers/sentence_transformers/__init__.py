"""`inline::sentence-transformers`: embedding models of that library, in a child process."""

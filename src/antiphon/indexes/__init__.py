"""Vector indexes: where the chunks of vector stores are kept and found."""

"""How well and how fast vector stores are searched: `python -m bench.retrieval`."""

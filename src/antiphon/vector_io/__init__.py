"""Llama Stack's routes over vector stores: chunks put in and found by hand, vector databases, and its RAG tool."""

"""Reranking: documents by their relevance to a query, in the form of Cohere and Jina and in Llama Stack's."""

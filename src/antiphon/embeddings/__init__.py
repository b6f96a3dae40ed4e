"""`POST /v1/embeddings`: checked, sent to the model's server, and answered exactly in the form that was asked for."""

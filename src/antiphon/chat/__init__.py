"""Chat completions and text completions, passed through to the model's server with corrections."""

"""Anthropic's Messages API: one more projection of the engine that runs responses."""

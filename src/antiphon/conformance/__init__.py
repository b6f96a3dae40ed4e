"""Checks of a server that says it speaks the Responses API: ours, and any other."""

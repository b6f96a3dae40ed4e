"""Shields: which there are, asking them so that what could not be checked does not pass, and their routes."""

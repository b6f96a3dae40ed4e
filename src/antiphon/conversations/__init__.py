"""Conversations: items and turns that the server keeps in order under one id."""

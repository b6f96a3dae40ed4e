"""The Responses API: create, get, delete, input items."""

"""HTTP: parse, call a service, serialise. Nothing here decides what a response is."""

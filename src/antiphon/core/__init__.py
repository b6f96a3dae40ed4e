"""The pure core: no I/O, no clock; it imports nothing of ours but itself."""

"""Opaque blobs that clients carry for us: the adapter of the port `Sealer`."""

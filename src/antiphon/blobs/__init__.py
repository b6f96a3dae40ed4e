"""Blob stores: where the bytes of files are."""

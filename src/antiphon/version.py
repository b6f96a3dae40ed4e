"""The version, in a module that imports nothing: the package itself offers what stands on all others."""

__version__ = "0.1.0"

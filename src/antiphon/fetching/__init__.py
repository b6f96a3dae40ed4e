"""The one way to whatever address a caller names: checked, bounded, and without anything of ours in it."""

"""Stored prompts: templates with versions, and what a response makes of one."""

"""Tokens of users for MCP servers: authorised by each user in a browser, refreshed, kept sealed (OAuth 2.1 as the MCP
authorisation specification asks for it, revisions 2025-06-18 to 2026-07-28).
"""

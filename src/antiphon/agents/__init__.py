"""Llama Stack's Agents API: agents, sessions, turns and steps, on the engine that serves Responses."""

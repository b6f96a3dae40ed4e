"""Driving one loop through the ports."""

"""Whose data a call is about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose data a call may see: a tenant, and a subject (user or key) in it."""

    tenant: str
    subject: str

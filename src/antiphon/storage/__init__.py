"""Adapters of the store ports: `sqlite` (the default) and `memory`; `migrate` brings a schema up to date."""

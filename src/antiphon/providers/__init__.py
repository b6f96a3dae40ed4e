"""Model providers: adapters from the port in `antiphon.ports` to what upstreams speak."""

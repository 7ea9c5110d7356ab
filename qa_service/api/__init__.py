"""HTTP: routes, envelopes, negotiation, tokens. It knows no index and no Redis command."""

"""Who may do what: keys, clients, tokens, and who a token speaks for. It knows no HTTP, no Redis and no index."""

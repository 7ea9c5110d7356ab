"""Keys, clients, tokens and who they speak for."""

"""Webhooks: real receivers on loopback, a real Redis, the dispatcher in this process or in one of its own."""

"""Webhooks: who wants to hear of what, and its delivery. It knows nothing of answering, of Redis and of our routes."""

"""Texts made from passages: extractive, and later any OpenAI-compatible server. It knows no index and no HTTP route."""

"""Bytes that no well-meaning caller sends."""

"""The API through real server processes."""

"""Values and rules of question answering. Standard library only: it knows no room, no framework, no server."""

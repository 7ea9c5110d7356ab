"""The verbs of `qa-service`, a file a family. They parse and print; the rooms do the work."""

from qa_service.cli import asking, index, keys, operating, serving, training
from qa_service.cli.group import verbs as main

__all__ = ["asking", "index", "keys", "main", "operating", "serving", "training"]

"""`python -m qa_service.cli` is `qa-service`."""

from qa_service.cli import main

main()

"""qa_service: a hybrid retrieval-plus-generation answering service.

ARCHITECTURE.md names the rooms; `main.py` joins them; everything else knows as little as it can.
"""

__version__ = "0.1.0"

"""From a question to an answer: cache, retrieve, fuse, rerank, decide. It knows no HTTP, no Redis, no FAISS."""

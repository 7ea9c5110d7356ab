"""Finding what may answer a question: tokens, keyword and vector search, fusion, rerank. Knows no HTTP and no Redis."""

"""Takes batches off the queue, asks, finishes. It knows no HTTP and no Redis command."""

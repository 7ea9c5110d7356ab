"""Sessions: open, bind, say, replies after; the 3-second promise. It knows no HTTP, no Redis, no index."""

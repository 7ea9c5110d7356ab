"""What the bot knows: read sources, check, chunk, build, publish, roll back. It knows no HTTP and no question."""

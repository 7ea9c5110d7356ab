"""Benchmarks: one question a file, peers in the same run, ratios and medians, results as JSON in git."""

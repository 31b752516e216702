"""Warnings on the way to the end of an allowance or a sum of money, each once: see `choosing` and `crossings`."""

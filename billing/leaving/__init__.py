"""Leaving: canceling with a reason, money back in its days, withdrawing from a contract, closing an account."""

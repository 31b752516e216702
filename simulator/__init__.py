"""A small Stripe: an island with its own process and store that knows nothing of the rest of the house."""

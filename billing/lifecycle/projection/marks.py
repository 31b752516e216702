"""What we write on Stripe's objects to know them by."""

# The subscription's metadata key that holds the Unix time from which a customer's pause counts.
PAUSED_FROM = "tallyhouse_paused_from"
# The metadata key of a price, and of a subscription, that was agreed in an offer.
OFFER_KEY = "tallyhouse_offer"

"""What was used, for the account's own eyes: by day, member and key from the roll-up, act by act from the ledger."""

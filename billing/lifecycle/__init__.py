"""The life of a subscription, from checkout to the last refund: every act on it runs under the account's lease (D5)."""

"""Contracts with one customer: the enquiry, the offer with a link, what becomes of it once it is accepted."""

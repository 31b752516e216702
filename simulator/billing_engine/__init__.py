"""The arithmetic and the life of a subscription: money, periods, invoices, payment, renewal."""

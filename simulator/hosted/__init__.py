"""What people do on the hosted pages: pay a checkout, manage a subscription, pay an invoice. The pages
call these verbs.
"""

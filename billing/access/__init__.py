"""Who may what, and until when: one pure function over what Stripe said, what staff granted and the time.

The table it implements, top to bottom, first match wins (per subscription; of several the best counts, never a sum):

 1  suspended by staff, or a dispute lost                    BLOCKED
 2  a valid grant (comped, grandfathered, enterprise)        FULL
 4  no subscription                                          FREE, may check out
 5  incomplete                                               FREE, finish the open payment first
 6  incomplete_expired                                       FREE, may check out
 7  trialing, before trial_end                               FULL (also when it will not renew)
 8  trialing, after trial_end                                canceling: FREE; else GRACE for a day, then FREE
 9  active, before period_end                                FULL
10  active, after its end, canceling                         FREE at once
11  active, after period_end, not canceling                  FULL a day (three if Stripe could not be asked since)
12  active with paused collection                            FULL: https://docs.stripe.com/billing/subscriptions/pause-payment
    ... when the customer asked for it                       FULL until what is paid for is over, then FREE
13  past_due, had a trial and never paid since              FREE
14  past_due, within payment grace of the first failure      GRACE
15  past_due, after it                                       FREE
16  past_due, paid by invoice                                GRACE until the due date plus grace, then FREE
17  unpaid                                                   FREE, pay the open invoice
18  canceled                                                 FREE, may check out
19  paused (trial ended without a card)                      FREE, add a card
20  any other word (Stripe's enum is open)                   as the last known status for a day, then FREE
22  a dispute is open                                        by policy: as above (default) or FREE
"""

from billing.access.deciding import decide
from billing.access.facts import Decision, GrantFacts, Level, SubscriptionFacts, Terms
from billing.access.standing import KNOWN
from billing.access.turning import LATE_NEWS

__all__ = ["KNOWN", "LATE_NEWS", "Decision", "GrantFacts", "Level", "SubscriptionFacts", "Terms", "decide"]

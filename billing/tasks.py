"""Nudges by name: each looks for what is due and does it; lost, doubled or late, they change nothing."""

from celery import shared_task

from billing import clock, credits, currencies, effects
from billing.lifecycle import subscriptions
from billing.messages import credits as messages_of_credits
from billing.messages import overdue, reminders
from billing.price_rises import carrying
from billing.stripe import inbox, pruning
from config import nudge


@shared_task
def read_letters() -> None:
    """Read Stripe's letters that are due; when more than one helping is due, ask for another."""
    if inbox.drain(now=clock.wall(), limit=inbox.HELPING) >= inbox.HELPING:
        nudge.workers(nudge.READ_LETTERS)


@shared_task
def deliver_effects() -> None:
    """Carry out what the outbox still owes."""
    effects.deliver_owed(now=clock.wall())


@shared_task
def sync_owed() -> None:
    """Sync the accounts whose request was left behind by a holder that died."""
    subscriptions.serve_owed()


@shared_task
def ask_about_doubtful() -> None:
    """Ask Stripe about plans whose time ran out without a word, and tell staff what stays unclear."""
    subscriptions.ask_about_doubtful(now=clock.wall())


@shared_task
def tell_ahead() -> None:
    """Tell of what is near: a trial's end, a charge, a yearly renewal; and of invoices past their day."""
    reminders.sweep(now=clock.wall())
    overdue.sweep(now=clock.wall())


@shared_task
def expire_credits() -> None:
    """Write off what is left of credits whose time is over, and tell of those that end soon."""
    credits.expire(now=clock.wall())
    messages_of_credits.sweep(now=clock.wall())


@shared_task
def carry_price_rises_on() -> None:
    """Tell and move whoever is due in a price rise under way."""
    carrying.carry_on(now=clock.wall())


@shared_task
def compare_currencies() -> None:
    """Tell staff of what customers pay in a currency that the price list does not have."""
    currencies.tell_staff(now=clock.wall())


@shared_task
def prune_letters() -> None:
    """Take the words out of Stripe's letters that are old enough."""
    pruning.prune(now=clock.wall())

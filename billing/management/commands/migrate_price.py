"""`manage.py migrate_price --from … --to … [--dry-run]`: who pays an older price is told, then moved at the renewal."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import clock, money
from billing.models import PriceRise
from billing.price_rises import carrying, planning
from billing.stripe import gateway


class Command(BaseCommand):
    help = (
        "List who pays an older price and what the new one means for each, then begin a campaign that tells them and "
        "moves them before a renewal, a few at a time. --stop and --undo take a campaign's number."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="from_name", help="lookup key, or one price's id at Stripe (price_…)"
        )
        parser.add_argument("--to", dest="to_name", help="lookup key in the price list")
        parser.add_argument("--dry-run", action="store_true", help="only list them")
        parser.add_argument(
            "--notice-days", type=int, default=30, help="days between the letter and the renewal"
        )
        parser.add_argument("--reason", default="", help="why, for whoever asks in a year")
        parser.add_argument(
            "--except", dest="held_out", action="append", type=uuid.UUID, default=[], metavar="ACCOUNT_ID"
        )
        parser.add_argument("--stop", type=int, metavar="NUMBER", help="nobody else is told or moved")
        parser.add_argument("--undo", type=int, metavar="NUMBER", help="stop, and give the old price back")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["stop"] is not None:
            stopped = carrying.stop(rise=_rise(options["stop"]), now=clock.wall())
            way_back = f" --undo {options['stop']} gives them the old one again." if stopped.moved else ""
            self.stdout.write(f"{stopped}{stopped.staying}{way_back}")
            return
        if options["undo"] is not None:
            try:
                undone = carrying.undo(rise=_rise(options["undo"]), now=clock.wall())
            except gateway.StripeError as error:
                raise CommandError(
                    f"Stopped; nobody has the old price again yet: {error} The worker tries again, or run it again."
                ) from error
            self.stdout.write(str(undone))
            if undone.failed:
                raise CommandError(
                    "Some could not be undone; the worker tries again, or run the command again."
                )
            return
        if not options["from_name"] or not options["to_name"]:
            raise CommandError("Say --from and --to, or --stop or --undo with a campaign's number.")
        self._begin(options)

    def _begin(self, options: dict[str, Any]) -> None:
        try:
            plan = planning.plan(
                from_name=options["from_name"], to_lookup_key=options["to_name"], held_out=options["held_out"]
            )
            for move in plan.moves:
                self.stdout.write(_line(move))
            going = [move for move in plan.moves if not move.left_out]
            self.stdout.write(f"{len(going)} would move, {len(plan.moves) - len(going)} stay.")
            if options["dry_run"]:
                return
            rise = planning.begin(
                plan=plan,
                notice_days=options["notice_days"],
                reason=options["reason"],
                by=None,
                now=clock.wall(),
            )
        except (planning.CannotRise, gateway.StripeError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Campaign {rise.pk} has begun. The worker carries it on; --stop {rise.pk} or --undo {rise.pk} at any time."
        )


def _line(move: planning.Move) -> str:
    old, new = (money.text(sum_, move.currency) for sum_ in (move.old_amount, move.new_amount))
    delta = money.text(abs(move.delta), move.currency)
    sign = "+" if move.delta >= 0 else "-"
    return f"{move.account}: {old} to {new} × {move.quantity}, {sign}{delta} a period" + (
        f"; stays, {move.left_out}" if move.left_out else ""
    )


def _rise(number: int) -> PriceRise:
    rise = PriceRise.objects.filter(pk=number).first()
    if rise is None:
        raise CommandError(f"There is no campaign {number}.")
    return rise

"""What is held rather than used up: `gauges` for things that stay, `slots` for runs that go on for a while.

from usage.standing import gauges, slots

gauges.claim(account=account, feature="projects", key=f"project:{project.pk}", now=clock.wall())
slots.take(account=account, feature="concurrent_runs", key=f"run:{run.pk}", now=clock.wall())
"""

from usage.standing.limits import LimitReached, Standing, state

__all__ = ["LimitReached", "Standing", "state"]

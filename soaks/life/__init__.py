"""Years in the life of customers, compared at each step with a calculation of its own: `./run soak life --seed 1`."""

from soaks.life.command import main

__all__ = ["main"]

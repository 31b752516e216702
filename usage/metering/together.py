"""Acts of one process that meet travel together: one of them takes all who wait along, in as few statements as it can.

A database counts an act in less time than it takes to be asked for one. So while one thread's acts are on their way,
whoever comes meanwhile waits for the next journey instead of asking by itself; the first of them leads it. Acts that
count different things go in one statement; those that count the same as one of them follow without waiting for its
answer, each its own transaction. Locks are released early, and one flush is waited for before anybody is answered.
Where several travelled last time, the leader gives as many a moment to come. An act that is alone travels alone, as
if there were no others.

Nobody waits behind somebody else's lock: who does not get to count within PATIENCE asks again, for itself alone. Nor
behind a line that is dead: who is not taken along within WAIT_SECONDS asks for itself too, which is counted once all
the same, as the key says.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Sequence

from django.db import DatabaseError, OperationalError
from psycopg.errors import InvalidSqlStatementName, LockNotAvailable

from usage.metering import postgres, prepared
from usage.metering.attempts import Ask, Attempt

# Longer than any act that does not wait for a transaction of somebody's own.
PATIENCE = "50ms"
# Nothing was counted, and it will be when asked for alone: somebody else is counting for long, or the connection has
# forgotten the statement.
_ALONE = (LockNotAvailable, InvalidSqlStatementName)
# Far longer than a journey; shorter than a dead connection takes to be noticed.
WAIT_SECONDS = 5.0
# Few enough for the answers to fit into the buffers of a connection.
MOST = 32
# Less than a journey takes: who was answered a moment ago and has something to count again comes within it.
GATHER_SECONDS = 0.0005


class _Turn:
    """An act that waits to be taken along. Its gate opens when it was answered, or when it is its turn to lead."""

    __slots__ = ("answer", "ask", "gate", "has_waited", "leads")

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.answer: Attempt | BaseException | None = None
        # The journey that is under way, or about to begin, is led by this one's thread.
        self.leads = False
        self.has_waited = False
        self.gate = threading.Lock()
        self.gate.acquire()


_door = threading.Lock()
_waiting: list[_Turn] = []
_is_under_way = False
# As many as travelled last time; and the gate of the leader who waits for so many.
_expected = 1
_gathering: threading.Lock | None = None


def attempt(ask: Ask) -> Attempt:
    """Try once, with whoever else is counting in this process; what was counted is on disk then.

    In autocommit only. Raises django.db.Error.
    """
    if postgres.early_lock_release() == "off" or not prepared.may_go_straight():
        return _alone(ask)
    turn = _Turn(ask)
    try:
        if _may_lead(turn) or (turn.gate.acquire(timeout=WAIT_SECONDS) and turn.leads):
            _lead(turn)
    finally:
        _leave(turn)
    if turn.answer is None:
        return _alone(ask)
    if isinstance(turn.answer, DatabaseError) and isinstance(turn.answer.__cause__, _ALONE):
        return _alone(ask)
    if isinstance(turn.answer, BaseException):
        raise turn.answer
    return turn.answer


def _alone(ask: Ask) -> Attempt:
    found = postgres.attempt(ask)
    if found.needs_barrier and postgres.early_lock_release() != "off":
        postgres.barrier()
    return found


def _may_lead(turn: _Turn) -> bool:
    global _gathering, _is_under_way
    with _door:
        if not _is_under_way:
            # In this order: who is interrupted between the two hands on what has not begun.
            turn.leads = True
            _is_under_way = True
            return True
        turn.has_waited = True
        _waiting.append(turn)
        if _gathering is not None and len(_waiting) + 1 >= _expected:
            _gathering.release()
            _gathering = None
        return False


def _leave(turn: _Turn) -> None:
    """Whoever was interrupted, or has waited too long, is waited for by nobody."""
    if turn.answer is None or turn.leads:
        with _door:
            if turn in _waiting:
                _waiting.remove(turn)
        _hand_on(turn)


def _lead(own: _Turn) -> None:
    others = _gathered(own)
    turns = [own, *others]
    try:
        try:
            answers = _journey(turns)
        finally:
            _hand_on(own)
        # The next are under way while these wait for the disk.
        if any(isinstance(answer, Attempt) and answer.needs_barrier for answer in answers):
            postgres.barrier()
        for turn, answer in zip(turns, answers, strict=True):
            turn.answer = answer
    except BaseException as error:
        for turn in turns:
            turn.answer = _unknown(error)
        own.answer = error
    finally:
        for turn in others:
            turn.gate.release()


def _gathered(own: _Turn) -> list[_Turn]:
    """Who travels along: whoever waits now, or after a moment when there are fewer than last time."""
    global _expected, _gathering
    with _door:
        if len(_waiting) + 1 < _expected:
            _gathering = own.gate
    if _gathering is own.gate:
        own.gate.acquire(timeout=GATHER_SECONDS)
    with _door:
        _gathering = None
        others = _waiting[: MOST - 1]
        del _waiting[: MOST - 1]
        _expected = len(others) + 1
    return others


def _journey(turns: list[_Turn]) -> Sequence[Attempt | DatabaseError | None]:
    if len(turns) == 1:
        return [_by_itself(turns[0])]
    first: dict[tuple[uuid.UUID, str], int] = {}
    for place, turn in enumerate(turns):
        first.setdefault((turn.ask.account_id, turn.ask.feature), place)
    if len(first) == 1:
        return postgres.attempt_each([turn.ask for turn in turns], patience=PATIENCE)
    return _side_by_side(turns, sorted(first.values()))


def _by_itself(turn: _Turn) -> Attempt | DatabaseError:
    # Others are about: its lock is not kept from them until the disk has answered.
    try:
        return postgres.attempt(turn.ask, release="on" if turn.has_waited else None, patience=PATIENCE)
    except DatabaseError as error:
        return error


def _side_by_side(turns: list[_Turn], places: list[int]) -> list[Attempt | DatabaseError | None]:
    """Those at `places` count different things and go in one statement; those who count the same come after them."""
    answers: list[Attempt | DatabaseError | None] = [None] * len(turns)
    try:
        found = postgres.attempt_together([turns[place].ask for place in places], patience=PATIENCE)
    except DatabaseError:
        # One's fault is not another's: each asks for itself, and hears its own.
        return answers
    rest = sorted(set(range(len(turns))) - set(places))
    said = postgres.attempt_each([turns[place].ask for place in rest], patience=PATIENCE) if rest else []
    for place, answer in zip([*places, *rest], [*found, *said], strict=True):
        answers[place] = answer
    return answers


def _hand_on(own: _Turn) -> None:
    global _gathering, _is_under_way
    with _door:
        if not own.leads:
            return
        _gathering = None
        if _waiting:
            following = _waiting[0]
            following.leads = True
            own.leads = False
            del _waiting[0]
            following.gate.release()
        else:
            _is_under_way = False
            own.leads = False


def _unknown(error: BaseException) -> DatabaseError:
    """What those hear whose journey ended on the way: perhaps they were counted, and the same key will tell."""
    if isinstance(error, DatabaseError):
        return error
    said = OperationalError("the thread that counted for this one was interrupted")
    said.__cause__ = error
    return said


def _start_anew() -> None:
    """After a fork nobody is under way: the threads that were stayed with the parent."""
    global _door, _expected, _gathering, _is_under_way
    _door, _expected, _gathering, _is_under_way = threading.Lock(), 1, None, False
    _waiting.clear()


os.register_at_fork(after_in_child=_start_anew)

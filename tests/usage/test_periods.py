"""When an allowance comes back, for every anchor and across every change of clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage import periods


def month(now: datetime, anchor: datetime) -> periods.Period:
    return periods.containing(now=now, per="month", anchor=anchor)


def starts(anchor: datetime, count: int) -> list[datetime]:
    period, found = month(anchor, anchor), []
    for _ in range(count):
        found.append(period.start)
        period = month(period.end, anchor)
    return found


def test_bought_on_the_31st_the_allowance_is_back_on_the_last_of_february_and_on_the_31st_of_march() -> None:
    days = [moment.strftime("%d %b") for moment in starts(datetime(2026, 1, 31, 9, 30, tzinfo=UTC), 5)]

    assert days == ["31 Jan", "28 Feb", "31 Mar", "30 Apr", "31 May"]


def test_a_leap_day_anchor_is_back_on_the_29th_in_the_next_leap_year() -> None:
    found = starts(datetime(2028, 2, 29, tzinfo=UTC), 49)

    assert [found[k].date().isoformat() for k in (12, 24, 36, 48)] == [
        "2029-02-28",
        "2030-02-28",
        "2031-02-28",
        "2032-02-29",
    ]


def test_every_anchor_of_ten_years_has_24_periods_without_gap_or_overlap() -> None:
    anchor, checked = datetime(2024, 1, 1, 13, 37, 42, 123456, tzinfo=UTC), 0
    instant = timedelta(microseconds=1)
    while anchor.year < 2035:
        period = month(anchor, anchor)
        assert period.start == anchor
        for number in range(1, 25):
            assert month(period.end - instant, anchor) == period
            following = month(period.end, anchor)
            assert following.start == period.end
            assert following.start.day == anchor.day or (following.start + timedelta(days=1)).day == 1
            assert (following.start.year - anchor.year) * 12 + following.start.month - anchor.month == number
            assert following.start.time() == anchor.time()
            period, checked = following, checked + 1
        anchor += timedelta(days=1)

    assert checked == 4018 * 24


moments = st.datetimes(
    min_value=datetime(2010, 1, 1),  # noqa: DTZ001
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(now=moments, anchor=moments)
def test_a_month_holds_its_moment_also_before_its_anchor(now: datetime, anchor: datetime) -> None:
    period = month(now, anchor)

    assert period.contains(now)
    assert timedelta(days=28) <= period.end - period.start <= timedelta(days=31)
    assert month(period.start, anchor) == period
    assert month(period.end, anchor).start == period.end


zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",  # clocks change at midnight
        "America/Havana",  # midnight comes twice
        "Africa/Cairo",
        "Pacific/Apia",  # skipped a whole day
    ]
)


@given(now=moments, zone=zones, per=st.sampled_from(["day", "week"]))
def test_each_local_day_and_week_is_exactly_one_window(now: datetime, zone: str, per: str) -> None:
    period = periods.containing(now=now, per=per, anchor=now, tz=zone)

    assert period.contains(now)
    assert periods.containing(now=period.start, per=per, anchor=now, tz=zone) == period
    assert periods.containing(now=period.end, per=per, anchor=now, tz=zone).start == period.end
    before = period.start - timedelta(microseconds=1)
    assert periods.containing(now=before, per=per, anchor=now, tz=zone).end == period.start


@pytest.mark.parametrize(
    ("day", "hours"),
    [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)],
    ids=["spring", "autumn", "june"],
)
def test_a_day_in_berlin_is_as_long_as_its_clocks_say(day: tuple[int, int, int], hours: int) -> None:
    noon = datetime(*day, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    period = periods.containing(now=noon, per="day", anchor=noon, tz="Europe/Berlin")

    assert period.end - period.start == timedelta(hours=hours)


def test_a_year_has_twelve_windows() -> None:
    bought = datetime(2027, 12, 31, 23, 59, tzinfo=UTC)

    assert starts(bought, 13)[-1] == bought.replace(year=2028)


@pytest.mark.parametrize("per", ["year", "", "months"])
def test_an_unknown_length_is_refused(per: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="per day, week or month"):
        periods.containing(now=moment, per=per, anchor=moment)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        periods.containing(now=datetime(2026, 1, 1), per="day", anchor=datetime(2026, 1, 1, tzinfo=UTC))  # noqa: DTZ001

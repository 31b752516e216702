"""Every mistake in a price list is answered with a sentence that names the file and the key, all at once."""

import pytest

from billing import catalog

SHOP = """
name = "Shop"
currency = "usd"
default_plan = "free"

[company]
name = "Shop"
support_email = "help@shop.example"

[features.runs]
name = "Runs"
unit = ["run", "runs"]
kind = "allowance"

[features.projects]
name = "Projects"
unit = ["project", "projects"]
kind = "limit"

[features.disk]
name = "Disk"
unit = ["byte", "bytes"]
kind = "limit"

[features.sso]
name = "Single sign-on"
kind = "switch"

[features.tokens]
name = "Tokens"
unit = ["token", "tokens"]
kind = "metered"
meter_event_name = "tokens_used"

[features.calls]
name = "Calls"
unit = ["call", "calls"]
kind = "metered"
meter_event_name = "calls_made"

[plans.free]
name = "Free"

[plans.pro]
name = "Pro"
audience = "individual"
switches = ["sso"]
grace_days = 3
[plans.pro.limits]
projects = 10
disk = "10 GB"
[plans.pro.allowances]
runs = { quantity = 100, per = "month" }
[[plans.pro.prices]]
lookup_key = "pro_month"
amount = 4999
interval = "month"
[[plans.pro.prices]]
lookup_key = "pro_year"
amount = 49900
interval = "year"

[plans.small]
name = "Small"
audience = "organization"
seats = { min = 5, max = 19, ladder = "team" }
[[plans.small.prices]]
lookup_key = "small_month"
amount = 700
interval = "month"
per_seat = true

[plans.large]
name = "Large"
audience = "organization"
seats = { min = 20, ladder = "team" }
[[plans.large.prices]]
lookup_key = "large_month"
amount = 500
interval = "month"
per_seat = true

[plans.payg]
name = "Pay as you go"
metered = ["tokens"]
[[plans.payg.prices]]
lookup_key = "payg_tokens"
amount = 50
interval = "month"
meter = "tokens"

[plans.deal]
name = "Deal"
contact_sales = true
"""

MISTAKES = [
    # what was written right, what was written wrong, the sentence
    ("amount = 4999", "amount = 49.99", "plans.pro.prices[0].amount: must be whole cents, got 49.99"),
    ("amount = 4999", 'amount = "4999"', 'plans.pro.prices[0].amount: must be whole cents, got "4999"'),
    ("amount = 4999", "amount = true", "plans.pro.prices[0].amount: must be whole cents, got true"),
    ("amount = 4999\n", "", "plans.pro.prices[0].amount: is missing; write whole cents"),
    ("amount = 4999", "amount = -1", "plans.pro.prices[0].amount: must be from 1 to 99999999, got -1"),
    ("amount = 4999", "amount = 0", "plans.pro.prices[0].amount: must be from 1 to 99999999, got 0"),
    (
        "amount = 4999",
        "ammount = 4999",
        'plans.pro.prices[0].ammount: is not a key this table knows; did you mean "amount"?',
    ),
    ('name = "Pro"', 'naem = "Pro"', 'plans.pro.naem: is not a key this table knows; did you mean "name"?'),
    ('name = "Pro"\n', "", "plans.pro.name: is missing; write some words"),
    ('name = "Pro"', "name = 7", "plans.pro.name: must be words in quotes, got 7"),
    ('name = "Pro"', 'name = " "', 'plans.pro.name: must be words in quotes, got " "'),
    ("grace_days = 3", "grace_days = 1.5", "plans.pro.grace_days: must be whole days, got 1.5"),
    ("grace_days = 3", "grace_days = 900", "plans.pro.grace_days: must be from 0 to 365, got 900"),
    ("grace_days = 3", "trial_days = 731", "plans.pro.trial_days: must be from 0 to 730, got 731"),
    ("grace_days = 3", 'popular = "yes"', 'plans.pro.popular: must be true or false, got "yes"'),
    (
        "grace_days = 3",
        "popular = true\nretired = true",
        "plans.pro.popular: the plan is retired and not shown",
    ),
    (
        'lookup_key = "pro_year"',
        'lookup_key = "pro_month"',
        'plans.pro.prices[1].lookup_key: "pro_month" is taken by plans.pro.prices[0]; '
        "every price needs its own",
    ),
    (
        'lookup_key = "pro_year"',
        'lookup_key = "Pro Year"',
        "plans.pro.prices[1].lookup_key: must be small letters, digits, _ . and -, 120 at "
        'most, got "Pro Year"',
    ),
    (
        'interval = "year"',
        'interval = "yearly"',
        'plans.pro.prices[1].interval: must be one of "month", "year", got "yearly"; did you mean "year"?',
    ),
    ('interval = "year"', "", 'plans.pro.prices[1].interval: is missing; write one of "month", "year"'),
    (
        'interval = "year"',
        'interval = "month"\ninterval_count = 40',
        "plans.pro.prices[1].interval_count: must be from 1 to 36, got 40",
    ),
    (
        'interval = "year"',
        'interval = "year"\ninterval_count = 4',
        "plans.pro.prices[1].interval_count: Stripe bills at most every three years",
    ),
    (
        'interval = "year"',
        'interval = "month"',
        "plans.pro.prices[1].interval: prices[0] is billed as often; keep one of them",
    ),
    (
        'interval = "year"',
        'interval = "year"\ncurrency = "eur"',
        'plans.pro.prices[1].currency: this price list is in "usd", got "eur"',
    ),
    (
        'interval = "year"',
        'interval = "year"\nper_seat = true',
        "plans.pro.prices[1].per_seat: the plan sells no seats; write plans.pro.seats = { min = 1 }",
    ),
    (
        'currency = "usd"',
        'currency = "dollars"',
        'currency: must be a currency code of three small letters such as usd or eur, got "dollars"',
    ),
    (
        'currency = "usd"',
        'currency = "USD"',
        'currency: must be a currency code of three small letters such as usd or eur, got "USD"',
    ),
    ('currency = "usd"\n', "", "currency: is missing; write some words"),
    ('default_plan = "free"\n', "", "default_plan: is missing; write some words"),
    (
        'default_plan = "free"',
        'default_plan = "fre"',
        'default_plan: there is no [plans.fre]; did you mean "free"?',
    ),
    (
        'default_plan = "free"',
        'default_plan = "pro"',
        'default_plan: everybody starts on "pro", so it must be free; take plans.pro.prices out',
    ),
    (
        'default_plan = "free"',
        'default_plan = "deal"',
        'default_plan: everybody starts on "deal", so plans.deal.contact_sales must be false',
    ),
    (
        'name = "Free"',
        'name = "Free"\nretired = true',
        'default_plan: everybody starts on "free", so plans.free.retired must be false',
    ),
    (
        'name = "Free"',
        'name = "Free"\naudience = "individual"',
        'default_plan: everybody starts on "free", so plans.free.audience must be "any"',
    ),
    (
        'name = "Free"',
        'name = "Free"\ntrial_days = 7',
        "plans.free.trial_days: the plan costs nothing, so there is nothing to try, to owe or to give back",
    ),
    (
        'audience = "individual"',
        'audience = "persons"',
        'plans.pro.audience: must be one of "individual", "organization", "any", got "persons"',
    ),
    (
        'audience = "individual"',
        "seats = { min = 2 }",
        "plans.pro.seats: no price is per seat; write per_seat = true in [[plans.pro.prices]], or drop seats",
    ),
    (
        'switches = ["sso"]',
        'switches = ["ssso"]',
        'plans.pro.switches: there is no [features.ssso]; did you mean "sso"?',
    ),
    ('switches = ["sso"]', 'switches = ["sso", "sso"]', "plans.pro.switches: names 'sso' twice"),
    (
        'switches = ["sso"]',
        'switches = "sso"',
        'plans.pro.switches: must be a list of words in quotes, got "sso"',
    ),
    (
        'switches = ["sso"]',
        'switches = ["projects"]',
        'plans.pro.switches: "projects" is a limit (features.projects.kind), so it '
        "belongs in plans.pro.limits",
    ),
    (
        "projects = 10",
        "projcts = 10",
        'plans.pro.limits.projcts: there is no [features.projcts]; did you mean "projects"?',
    ),
    (
        "projects = 10",
        "runs = 10",
        'plans.pro.limits.runs: "runs" is an allowance (features.runs.kind), so it '
        "belongs in plans.pro.allowances",
    ),
    (
        "projects = 10",
        "projects = -1",
        'plans.pro.limits.projects: must be a whole number from 0 or "unlimited", got -1',
    ),
    (
        "projects = 10",
        'projects = "many"',
        'plans.pro.limits.projects: must be a whole number from 0 or "unlimited", got "many"',
    ),
    (
        'disk = "10 GB"',
        'disk = "10 gigs"',
        'plans.pro.limits.disk: must be a whole number from 0, a size such as "10 GB" or '
        '"unlimited", got "10 gigs"',
    ),
    (
        "runs = { quantity = 100",
        "projects = { quantity = 100",
        'plans.pro.allowances.projects: "projects" is a limit (features.projects.kind), '
        "so it belongs in plans.pro.limits",
    ),
    (
        "runs = { quantity = 100",
        "runs = { quantity = 0.5",
        "plans.pro.allowances.runs.quantity: must be a whole number",
    ),
    (
        'per = "month"',
        'per = "year"',
        'plans.pro.allowances.runs.per: must be one of "day", "week", "month", got "year"',
    ),
    (
        'runs = { quantity = 100, per = "month" }',
        "runs = 100",
        "plans.pro.allowances.runs: must be a table, got 100",
    ),
    ("min = 5, max = 19", "min = 25, max = 19", "plans.small.seats: min (25) must not be above max (19)"),
    ("min = 5, max = 19", "min = 0, max = 19", "plans.small.seats.min: must be from 1 to 1000000, got 0"),
    (
        "min = 5, max = 19",
        "min = 5, max = 20",
        "plans.large.seats: 20 seats are also sold by plans.small; "
        'two steps of the ladder "team" must not overlap',
    ),
    (
        'seats = { min = 5, max = 19, ladder = "team" }',
        'seats = { min = 5, max = 19, ladder = "team", follow_members = true }',
        "plans.small.seats: a plan whose seats follow_members is no step of a ladder",
    ),
    (
        'audience = "organization"\nseats = { min = 20',
        'audience = "individual"\nseats = { min = 20',
        'plans.large.seats: seats are for organizations; audience must be "organization" or "any"',
    ),
    (
        'metered = ["tokens"]\n',
        "",
        'plans.payg.prices[0].meter: write metered = ["tokens"] in [plans.payg], else nobody may use it',
    ),
    (
        'meter = "tokens"',
        "",
        'plans.payg.metered: "tokens" has no price; write a [[plans.payg.prices]] with meter = "tokens"',
    ),
    (
        'meter = "tokens"',
        'meter = "token"',
        "plans.payg.prices[0].meter: there is no [features.token]; did you mean",
    ),
    (
        'meter = "tokens"',
        'meter = "runs"',
        'plans.payg.prices[0].meter: "runs" is an allowance; only what is metered is paid by the unit',
    ),
    (
        'meter = "tokens"',
        'meter = "tokens"\nper_seat = true',
        "plans.payg.prices[0].per_seat: a metered price counts units, not seats",
    ),
    (
        'metered = ["tokens"]',
        'metered = ["tokens"]\nallowances = { tokens = { quantity = "unlimited", per = "month" } }',
        'plans.payg.allowances.tokens.quantity: "unlimited" is never paid by the unit; write how many are included',
    ),
    (
        'meter = "tokens"',
        'meter = "tokens"\n[[plans.payg.prices]]\nlookup_key = "payg_base"\namount = 900\ninterval = "year"',
        'plans.payg.prices: "payg_tokens" needs a base price billed as often, to go with it',
    ),
    (
        'meter_event_name = "tokens_used"\n',
        "",
        "features.tokens.meter_event_name: must name Stripe's meter for a metered feature, got nothing",
    ),
    (
        'meter_event_name = "calls_made"',
        'meter_event_name = "tokens_used"',
        'features.calls.meter_event_name: "tokens_used" is taken by features.tokens',
    ),
    (
        'name = "Single sign-on"',
        'name = "Single sign-on"\nmeter_event_name = "x"',
        'features.sso.meter_event_name: is for metered features; this one\'s kind is "switch"',
    ),
    (
        'kind = "allowance"',
        'kind = "alowance"',
        'features.runs.kind: must be one of "switch", "limit", "allowance", "metered", '
        'got "alowance"; did you mean "allowance"?',
    ),
    (
        'unit = ["run", "runs"]\n',
        "",
        'features.runs.unit: must be one and many, such as ["run", "runs"], got nothing',
    ),
    ("[features.runs]", "[features.Runs]", "features.Runs: must be lower-case letters, digits and _"),
    (
        "contact_sales = true",
        'contact_sales = true\n[[plans.deal.prices]]\nlookup_key = "deal"\namount = 1\ninterval = "month"',
        "plans.deal.contact_sales: a plan sold by talking has no prices here; take out one of the two",
    ),
    (
        'support_email = "help@shop.example"',
        'support_email = "help"',
        'company.support_email: must be an e-mail address, got "help"',
    ),
    (
        'support_email = "help@shop.example"',
        'support_email = "help@shop.example"\nterms_url = "javascript:x"',
        'company.terms_url: must begin with https:// or /, got "javascript:x"',
    ),
    (
        'default_plan = "free"',
        'default_plan = "free"\ntrial_identity = ["mail"]',
        'trial_identity: knows "account", "email", "card", got "mail"; did you mean "email"?',
    ),
    ("[plans.pro]", "[plan.pro]", "plan: is not a key this table knows"),
]


def problems_of(text, tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(text)
    with pytest.raises(catalog.CatalogError) as error:
        catalog.load(file)
    return error.value.problems


def test_the_price_list_the_mistakes_are_made_in_is_right_itself(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(SHOP)

    assert list(catalog.load(file).plans) == ["free", "pro", "small", "large", "payg", "deal"]


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES, ids=[case[2][:60] for case in MISTAKES])
def test_a_mistake_is_named_by_its_key(right, wrong, sentence, tmp_path):
    assert right in SHOP

    problems = problems_of(SHOP.replace(right, wrong, 1), tmp_path)

    assert any(problem.startswith(f"shop.toml: {sentence}") for problem in problems), problems


def test_one_mistake_in_a_feature_is_not_blamed_on_every_plan(tmp_path):
    problems = problems_of(SHOP.replace('kind = "limit"', 'kind = "limmit"', 1), tmp_path)

    assert len(problems) == 1


def test_all_mistakes_are_told_at_once(tmp_path):
    text = SHOP
    for right, wrong in [("4999", "49.99"), ('"sso"]', '"ssso"]'), ("grace_days = 3", "grace_dais = 3")]:
        text = text.replace(right, wrong, 1)

    problems = problems_of(text, tmp_path)

    assert len(problems) == 3
    assert all(problem.startswith("shop.toml: plans.pro.") for problem in problems)


def test_a_file_that_is_not_toml_says_where_it_stops_making_sense(tmp_path):
    problems = problems_of("name = Shop", tmp_path)

    assert problems[0].startswith("shop.toml: is not TOML: ")
    assert "line 1" in problems[0]


def test_an_empty_file_says_what_a_price_list_needs(tmp_path):
    problems = problems_of("", tmp_path)

    assert "shop.toml: name: is missing; write some words" in problems
    assert any("plans: there is none" in problem for problem in problems)


def test_a_name_nobody_knows_lists_the_names_there_are(settings):
    settings.BILLING_CATALOG = "kaboom"

    with pytest.raises(catalog.CatalogError, match=r'"automation", "hybrid", "kaboot", "ocr", "protocol"'):
        catalog.current()

"""What Stripe's objects and parameters look like, read from the source of the installed `stripe` package.

Its modules are generated from Stripe's OpenAPI description (each opens with "File generated from our OpenAPI
spec"), so its annotations are that description. They are parsed, never imported. Responses come from
`stripe/_*.py` and the folders beside, requests from `stripe/params/**`, routes from the `*_service.py` files.

    skeleton("subscription")                      every key a subscription carries, empty
    problems(subscription)                        [] when the SDK would recognise every part of it
    refusal_problems({"error": {…}})              the same for what is said with a 4xx
    allowed_params("checkout.session", "create")  the parameter tree of one operation
    params_for("POST", "/v1/customers/cus_1")     the same, found by the route the SDK calls
    unknown_param(tree, params)                   "items[0][prise]", or None
    missing_param(tree, params)                   "currency", or None
    wrong_param(tree, params)                     a value that is no number, no switch, none of the words allowed
"""

from __future__ import annotations

from simulator.sdk.requests import (
    ParamTree,
    Wrong,
    allowed_params,
    missing_param,
    params_for,
    unknown_param,
    wrong_param,
)
from simulator.sdk.responses import problems, refusal_problems, skeleton
from simulator.sdk.source import api_version, sdk_version

__all__ = [
    "ParamTree",
    "Wrong",
    "allowed_params",
    "api_version",
    "missing_param",
    "params_for",
    "problems",
    "refusal_problems",
    "sdk_version",
    "skeleton",
    "unknown_param",
    "wrong_param",
]

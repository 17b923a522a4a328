"""What schemathesis cannot read in the document of the API.

A key is new for each thing, an address is one user's, two parameters exclude each other; and a request about something
that was never made is answered with 404 whatever else is in it, so most requests are about what earlier answers told of.
Requests that are wrong on purpose stay as they are.
"""

import random
import re
import uuid

import schemathesis

ID = re.compile(r"(pay|usr|pm|cap|ref|evt|we)_[0-9a-f]{32}")
# The newest things of each kind. A few, as the next request may detach one or end it.
KNOWN: dict[str, list[str]] = {}
CHANCE = random.Random(1)


def known(value):
    """The value with each id in it replaced, mostly, by one that was told."""
    if isinstance(value, dict):
        return {name: known(inner) for name, inner in value.items()}
    kind = ID.fullmatch(value) if isinstance(value, str) else None
    told = KNOWN.get(kind.group(1)) if kind else None
    return CHANCE.choice(told) if told and CHANCE.random() < 0.8 else value


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if "If-Match" in case.headers:
        case.headers["If-Match"] = "*"
    if "starting_after" in case.query:
        case.query.pop("ending_before", None)
    if isinstance(case.body, dict) and "email" in case.body:
        case.body["email"] = f"{uuid.uuid4()}@example.com"
    if case.meta.phase.name.value != "stateful":
        case.path_parameters = known(case.path_parameters)
        case.body = known(case.body)


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code in (200, 201, 202):
        for found in ID.finditer(response.text):
            told = KNOWN.setdefault(found.group(1), [])
            told.append(found.group())
            del told[:-5]

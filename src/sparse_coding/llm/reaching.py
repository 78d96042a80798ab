"""From settings to a server, and what can be known of it for nothing: whether it is there, and what it lists."""

import json
import os
from pathlib import Path

import openai

from sparse_coding.errors import BadInput
from sparse_coding.llm.client import Client, Reach
from sparse_coding.llm.faults import NEVER_SENT, ServerStops
from sparse_coding.llm.ledger import Ledger, Limits, Price
from sparse_coding.settings.params import Connection, Llm, host_of

NEEDS_KEY, KEY_VARIABLE = "https://api.openai.com/", "OPENAI_API_KEY"
LISTED_IN = 10.0  # seconds; a server that is busy with answers may not say in time what it has


def reach_of(llm: Llm) -> Reach:
    """How the server of the settings is reached. Raises BadInput where the key that it needs is nowhere."""
    connection = llm.connection
    is_theirs = connection.base_url.startswith(NEEDS_KEY)
    variable = connection.key_variable or (KEY_VARIABLE if is_theirs else None)
    key = os.environ.get(variable, "").strip() if variable else ""
    if not key and is_theirs:
        raise BadInput(f"environment variable {variable}", "nothing", f"a key for {connection.base_url}")
    return Reach(
        base_url=connection.base_url,
        key=key,
        in_flight=connection.in_flight,
        timeout=connection.timeout,
        retries=connection.retries,
        retry_wait=connection.retry_wait,
        server=llm.served_by,
        by_address=llm.served_by == host_of(connection.base_url),
    )


def ledger_of(connection: Connection, path: Path) -> Ledger:
    """The book in `path`, with the caps and prices of the settings."""
    prices = {model: Price(price.prompt, price.completion, price.cached) for model, price in connection.prices.items()}
    return Ledger(path, Limits(connection.max_cost, connection.max_tokens, connection.max_requests), prices)


async def listed(client: Client) -> list[str] | None:
    """The models that the server says it has; None where it does not say, or where a cap allows no request.

    A request like others for the ledger, without tokens. Raises ServerStops where nobody is there: that is not tried
    again, since an address that is mistyped looks the same.
    """
    base_url = client.reach.base_url
    call = client.ledger.reserve("", 0, 0)
    if call is None:
        return None
    try:
        raw = await client.api.models.with_raw_response.list(timeout=min(client.reach.timeout, LISTED_IN))
        return _names(json.loads(raw.http_response.content))
    except openai.APIConnectionError as error:
        cause = error.__cause__
        if type(cause).__name__ not in NEVER_SENT:
            return None
        said = " ".join(str(cause).split()) or type(cause).__name__
        wanted = "a server at this address: is it up, and is autointerp.llm.connection.base_url right?"
        raise ServerStops(base_url, f"no connection ({said})", wanted) from None
    except (openai.OpenAIError, ValueError, RecursionError):
        return None
    finally:
        client.ledger.settle(call, "", 0, 0)


def _names(listing: object) -> list[str] | None:
    data = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(data, list):
        return None
    return [each["id"] for each in data if isinstance(each, dict) and isinstance(each.get("id"), str)]


def has(models: list[str], model: str) -> bool:
    """Whether it is among those; Ollama lists a name without a tag with `:latest`."""
    return model in models or f"{model}:latest" in models

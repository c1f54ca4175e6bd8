"""The schema of posctl's JSON, posctl/screen/schema.json, and docs/json.md, made of what every
command prints. After a key was added: give it a meaning in MEANINGS, then run

    POSCTL_WRITE_SCHEMA=1 python -m pytest tests/cli/test_schema.py

Keys are only ever added: what the schema has is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "posctl" / "screen" / "schema.json"
PAGE = ROOT / "docs" / "json.md"
OPEN = ("call", "settings", "raw")  # what is in them depends on the configuration, or the platform

MEANINGS = {
    "default": "whether it is used when none is named",
    "inherited": "the keys that the file says for every profile, as in timeout.read",
    "default_profile": "the profile that is used when none is named",
    "merchant": "whose money it is",
    "gateway": "the gateway's URL",
    "merchants": "every merchant of the configuration, live or training like the profile in use",
    "open_fen": "what the open payments come to, in fen",
    "oldest_open_s": "the age of the oldest open payment in seconds, 0 when none is open",
    "settled": "payments begun since local midnight and closed, by outcome",
    "taken_fen": "what was charged of those, in fen",
    "last_success_s": "when money last came in, seconds since the epoch; null for never",
    "last_sweep_s": "when `retry --due` last ended, seconds since the epoch; null for never",
    "journal_bytes": "room that the journal takes",
    "notify_command": "what is told of payments that wait for a person, word by word",
    "posctl": "1: this contract's version",
    "command": "the command",
    "exit_code": "as in the table of exit codes",
    "error": "null, or what went wrong: kind, code, sub_code, message, hint",
    "kind": "the family of the error or entry",
    "code": "a stable word for scripts",
    "sub_code": "the gateway's own, if it gave one",
    "message": "a sentence in the language of the run",
    "hint": "what to do or to type next, one a line",
    "outcome": "success, fail, pending, unknown, …; null when nothing was decided",
    "profile": "the profile's name; `config show`, too",
    "live": "false for training",
    "request_id": "the payment's own id",
    "shop_id": "the shop; in a report the one it is about, null for all",
    "checkout_id": "the checkout",
    "order_id": "the order",
    "pay_fee": "what was asked for, fen",
    "result_status": "1 paid, 2 failed, 3 pending, as the platform said",
    "remaining_fee": "what the checkout still needs, fen",
    "current_pay_fee": "what this payment took, fen",
    "current_payment_channel": "the platform's number of the channel",
    "payment_order_id": "the platform's id of the payment",
    "channel_order_id": "Alipay's or WeChat's id of it",
    "result_code": "the platform's code",
    "result_message": "the platform's words",
    "trace_id": "for the platform's support",
    "tries": "how often it was sent; in `show` each try",
    "state": "where the payment stands in the journal",
    "operator_id": "the operator; in a report the one it is about, null for all",
    "machine_id": "the till; in a report the one it is about, null for all",
    "pay_channel": "the way it was paid",
    "created_at": "when it was begun, UTC",
    "closed_at": "when it was closed, UTC",
    "resolved_by": "who closed it by hand",
    "resolved_note": "on what evidence",
    "corrected": "whether that was corrected since",
    "resumed": "whether this run told or went on with an earlier payment",
    "warnings": "what somebody must know besides",
    "blocked_by": "the payment that stands in the way",
    "payments": "the payments, or how many (`journal`)",
    "payment": "the payment",
    "alarms": "evidence against closed payments that nobody has acknowledged",
    "corrections": "words given by hand that were corrected",
    "unreached": "open payments that no profile of the configuration reaches",
    "unreached_paid": "paid ones that no shift holds and no profile reaches",
    "more": "whether there are more than were listed",
    "age_s": "seconds since it was begun",
    "why": "what the latest try came to",
    "next": "what to type next",
    "dry_run": "true: nothing was sent or changed",
    "refused": "why `retry` would not send it now; null when it would",
    "call": "what would be sent, codes and secrets masked",
    "paid_fee": "what was paid of the checkout, fen",
    "status_word": "the platform's word",
    "meaning": "success, fail or pending, as the profile reads that word",
    "channel_name": "the channel, in the platform's words",
    "shift": "the shift's number; null for a day or the running shift",
    "since": "beginning of the period, UTC",
    "zone": "the zone of this machine's days and of what people read, as in UTC+08:00",
    "until": "end of the period, UTC",
    "closed_by": "who closed the shift",
    "note": "the note it was closed with",
    "sha256": "over the shift's payments and the shift before",
    "paid": "how many were paid",
    "fee": "fen: paid; in `reconcile` the journal's side",
    "by_hand": "how many a person closed, as paid or not",
    "not_charged": "how many charged nobody",
    "open": "how many are open; in `reconcile` open here and not there",
    "open_fee": "what these asked for, fen",
    "open_payments": "each of them",
    "by": "who; in `report` sums by shop, operator, till, channel, day, hour, outcome",
    "key": "what is summed up",
    "count": "how many",
    "shifts": "closed shifts",
    "fault": "null, or what is wrong with it",
    "part_paid": "checkouts paid in part in this period that still need something",
    "corrections_fee": "what of `fee` corrections are",
    "copy": "customer or store",
    "print": "how often this copy was printed",
    "reprint": "whether it is not the first",
    "charged_fee": "what the customer paid, fen",
    "payment_code": "the code, masked",
    "text": "the receipt; the help; of `config` the example",
    "file": "the file",
    "results": "where each line's outcome is told",
    "lines": "how many lines; of an item or of `skipped` their numbers",
    "not_tried": "lines that were not reached",
    "outcomes": "lines by outcome",
    "lines_outside": "lines of another time",
    "skipped": "lines that are no payments, by why",
    "matched": "how many match",
    "matched_fee": "their sum, fen",
    "statement": "the statement's sums of the period",
    "gross_fee": "charged, fen",
    "refund_fee": "given back, fen",
    "net_fee": "what is left, fen",
    "only_ours": "only in the journal",
    "only_theirs": "only in the statement",
    "differ": "with another amount",
    "refunds": "given back",
    "more_fee": "the amounts above 0 in it, fen",
    "less_fee": "the amounts below 0 in it, fen",
    "items": "each",
    "statement_fee": "the statement's amount, fen; below 0: given back",
    "at": "when, UTC",
    "ids": "every id it is known by",
    "line": "the statement's line",
    "path": "where the file is",
    "profiles": "each profile",
    "journal": "the journal: place, source, exists",
    "place": "where it is",
    "source": "what chose it",
    "exists": "whether it is there",
    "settings": "the profile as it is used, secrets masked",
    "ok": "whether it can be used",
    "training": "whether it is for training",
    "checks": "each check: name, status, message, hint",
    "name": "its name",
    "status": "good, bad or a warning",
    "entries": "what the word or code may mean",
    "title": "in a sentence",
    "money": "whether money may have moved",
    "remedy": "what to do",
    "schema": "the journal's version",
    "latest_at": "when the latest payment was begun, UTC",
    "findings": "what is wrong with it",
    "created": "whether it was begun now",
    "kept_aside": "where the journal of before is",
    "lost": "payments that the backup does not hold; in `journal adopt`, that the database forgot",
    "for_person": "what waits for a person",
    "carried_over": "closed states that were carried over",
    "unknown": "what nobody can know of that time",
    "unknown_since": "since when, UTC",
    "script": "the script for the shell",
    "version": "posctl's version",
    "pid": "the process that sent it",
    "host": "the machine that sent it",
    "n": "the try's number",
    "event": "what the try met",
    "started_at": "when it was sent, UTC",
    "finished_at": "when the answer was there, UTC",
    "http_status": "of the answer",
    "raw": "the answer, codes cut out",
    "as": "the word that was corrected to",
    "export": "the file that what was pruned is in",
    "free_bytes": "what is free on the disk now",
    "kept": "how many were kept",
    "channel": "one a channel",
    "day": "one a day",
    "last_line_at": "when the statement's last line is of, UTC",
    "begun_later": "how many of `only_ours` were begun after that",
    "refund_at": "when it was given back, UTC, if a line of its own says so",
    "hour": "one an hour",
    "shop": "one a shop",
    "operator": "one an operator",
    "till": "one a till",
    "success": "charged",
    "fail": "not charged",
    "pending": "still open",
    "conflict": "a person decides",
    "blocked": "not sent, since something stands in the way",
    "not_sent": "never left",
    "rejected": "refused by the gateway",
    "closed": "orders that nobody paid",
    "comment": "comments",
    "no_amount": "without an amount",
    "no_id": "without any id",
    "other": "money that comes from no customer",
    "sum": "sums, and words behind the table",
}


def merged(old: dict[str, Any], value: object, name: str = "") -> dict[str, Any]:
    """The schema that lets through what `old` does, and `value`."""
    new = dict(old)
    kinds = {*old.get("type", ()), _kind(value)}
    if name not in NEVER_NULL and kinds.isdisjoint(("array", "object")):
        kinds.add("null")
    new["type"] = sorted(kinds)
    if isinstance(value, Mapping) and name not in OPEN:
        of = dict(old.get("properties", {}))
        for key, inner in value.items():
            of[key] = merged(of.get(key, {}), inner, key)
            if key in MEANINGS:
                of[key]["description"] = MEANINGS[key]
        new["properties"] = of
    if isinstance(value, list):
        items = old.get("items", {})
        for inner in value:
            items = merged(items, inner)
        new["items"] = items
    return new


def _kind(value: object) -> str:
    kinds = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}
    return "null" if value is None else kinds[type(value)]


ERROR = {"kind": "", "code": "", "sub_code": "", "message": "", "hint": ""}
NEVER_NULL = ("posctl", "command", "exit_code")


def schema_of(outputs: Iterable[Mapping[str, Any]], old: Mapping[str, Any]) -> dict[str, Any]:
    """The whole schema, one definition a command."""
    commands: dict[str, Any] = dict(old.get("$defs", {}))
    for data in outputs:
        name = data["command"]
        commands[name] = merged(commands.get(name, {}), {**data, "error": ERROR})
        commands[name] = merged(commands[name], data)
        commands[name]["properties"]["command"]["const"] = name
        always = set(commands[name].get("required", data)) & set(data)
        commands[name]["required"] = [key for key in data if key in always]
    for one in commands.values():
        _forget_unseen(one)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What posctl prints with --json",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(commands)],
        "$defs": {name: commands[name] for name in sorted(commands)},
    }


def _forget_unseen(schema: dict[str, Any]) -> None:
    """What was only ever null may be anything."""
    if schema.get("type") == ["null"]:
        del schema["type"]
    inner = (*schema.get("properties", {}).values(), schema.get("items"))
    for one in filter(None, inner):
        _forget_unseen(one)


def page_of(schema: Mapping[str, Any]) -> str:
    """docs/json.md: each command's keys, with type and meaning."""
    text = [
        "# What posctl prints with --json\n",
        "One object on one line, on every path. Keys are only ever added; where there is no value",
        "a key is null. Amounts are fen, times UTC. `--field` takes a name as it stands here;",
        "items of a list go by their number: `payments.1.outcome`. A name that is not here is",
        "refused (2) before anything is sent. The plain lines of a pipe (`--format keys`) have the",
        "same names. The same as JSON Schema: `posctl/screen/schema.json`, in the package.",
        "Made by `POSCTL_WRITE_SCHEMA=1 python -m pytest tests/cli/test_schema.py`.",
    ]
    for command, one in schema["$defs"].items():
        text += [f"\n## {command}\n", "| key | type | meaning |", "|---|---|---|"]
        text += [f"| `{key}` | {kind} | {meaning} |" for key, kind, meaning in _keys(one)]
    return "\n".join(text) + "\n"


def _keys(schema: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str, str]]:
    for key, one in schema.get("properties", {}).items():
        yield f"{before}{key}", " or ".join(one.get("type", ["any"])), one.get("description", "")
        yield from _keys(one, f"{before}{key}.")
        if one.get("items"):
            yield from _keys(one["items"], f"{before}{key}.N.")


def wrong(data: object, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """What of `data` the schema does not know, or knows otherwise."""
    if schema.get("type", ["null"]) != ["null"] and _kind(data) not in schema["type"]:
        yield f"{where}: {_kind(data)}"
    if isinstance(data, Mapping):
        yield from (
            f"{where}: {key} is missing" for key in schema.get("required", ()) if key not in data
        )
        for key, value in data.items():
            if "properties" in schema and key not in schema["properties"]:
                yield f"{where}.{key} is not in the schema"
            yield from wrong(value, schema.get("properties", {}).get(key, {}), f"{where}.{key}")
    if isinstance(data, list):
        for value in data:
            yield from wrong(value, schema.get("items", {}), f"{where}.N")


def _one_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(schema: Mapping[str, Any]) -> None:
    """Both files."""
    lines = [f'"{name}":{_one_line(one)}' for name, one in schema["$defs"].items()]
    head = _one_line({name: value for name, value in schema.items() if name != "$defs"})
    text = f'{head[:-1]},"$defs":{{\n' + ",\n".join(lines) + "\n}}\n"
    SCHEMA.write_text(text, encoding="utf-8")
    PAGE.write_text(page_of(schema), encoding="utf-8")

"""What a list or a closing shift costs the others: few rows are read of many, and nobody waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pgserver import Database
from test_journal_contract import CHECKOUT, begin, finish, new

from posctl.journal import Transaction, postgres_link
from posctl.journal.postgres import PostgresJournal
from posctl.journal.postgres_link import Link
from posctl.money.outcome import Event, Outcome
from posctl.money.record import RUNNING_SHIFT, Filter, Shift

MERCHANT = CHECKOUT.merchant
ROWS = 10_000
_PAYMENTS = f"""
INSERT INTO payments (request_id, profile, live, gateway, app_key, shop_id, checkout_id, nth,
  order_id, operator_id, machine_id, pay_channel, pay_fee, pay_request, state, paid, tries,
  created_ms, updated_ms, closed_ms, told, shift)
SELECT 'many-' || i, 'store-1', TRUE, 'https://gw', '{MERCHANT.name}', '1', 'c' || i, 1, 'c' || i,
  'o' || i % 250, 'm' || i % 250, 'alipay_facepay_v2', 100, '{{}}',
  CASE WHEN i % 250 = 7 THEN 'fail' ELSE 'success' END, i % 250 <> 7, 1, i, i, i, TRUE,
  CASE WHEN i <= {ROWS - 50} THEN 1 END FROM generate_series(1, {ROWS}) AS g(i)"""


@pytest.fixture(scope="module")
def grown(database: Database) -> Iterator[PostgresJournal]:
    """A journal with many payments, of which each list below wants 40 or 50."""
    url = database.url()
    with closing(PostgresJournal(url, try_s=5)) as journal:
        database.execute(_PAYMENTS, url)
        others = _PAYMENTS.replace(f"'{MERCHANT.name}'", "'another'").replace("many-", "other-")
        database.execute(others.replace(f"i <= {ROWS - 50}", "FALSE"), url)  # closes no shift
        database.execute("ANALYZE payments", url)
        yield journal


LISTS = {
    "by_till": Filter(merchant=MERCHANT, machine_id="m9"),
    "by_operator": Filter(merchant=MERCHANT, operator_id="o9"),
    "not_paid": Filter(merchant=MERCHANT, outcome=Outcome.FAIL),
    "running_shift": Filter(merchant=MERCHANT, shift=RUNNING_SHIFT),
}


@pytest.mark.parametrize("index", LISTS)
def test_a_list_reads_what_it_shows(
    grown: PostgresJournal, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one till, one operator, what was not paid, the running shift: an index leads there,
    for the list and for the sums.
    """
    execute, plans = Link._execute, []

    def explained(self: Link, statement: str, values: Any) -> Any:
        rows = execute(self, f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", values)
        plans.append("\n".join(row[0] for row in rows))
        return execute(self, statement, values)

    monkeypatch.setattr(Link, "_execute", explained)
    listed = len(list(grown.history(LISTS[index])))
    summed = sum(cell.n for cell in grown.sums(LISTS[index]))
    assert listed == summed == (50 if index == "running_shift" else 40)
    for plan in plans:
        assert index in plan, plan
        assert "Seq Scan" not in plan


def test_a_closing_shift_holds_no_payment_up(database: Database) -> None:
    """While a big shift is being closed, all its rows written and nothing committed yet, another
    till takes a payment from its row to "told" over its own connection. It is in the next shift.
    """
    url = database.url()
    with closing(PostgresJournal(url, 5)) as office, closing(PostgresJournal(url, 5)) as till:
        database.execute(_PAYMENTS.replace(f"i <= {ROWS - 50}", "FALSE"), url)
        till._link.execute("SET lock_timeout = '1s'")
        paid: list[str] = []

        def close(tx: Transaction) -> None:
            tx.close_shift(MERCHANT, Shift(1, "{}", "h"))
            done = finish(till, begin(till, new()), Event.PAID)
            till.mark_told([done.request_id])
            paid.append(done.request_id)

        office.transact(close)
        assert len(paid) == 1
        running = office.history(Filter(merchant=MERCHANT, shift=RUNNING_SHIFT))
        assert [one.request_id for one in running] == paid
        assert sum(cell.n for cell in office.sums(Filter(merchant=MERCHANT, shift=1))) == ROWS


def test_a_closing_shift_that_a_till_disturbed_begins_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment is marked as told after the closing has read it: however long that took, the shift
    is closed all the same, with what it holds.
    """
    monkeypatch.setattr(postgres_link, "RETRY_S", 0.0)
    url = database.url()
    with closing(PostgresJournal(url, 5)) as office, closing(PostgresJournal(url, 5)) as till:
        done = finish(till, begin(till, new()), Event.PAID)
        goes: list[int] = []

        def close(tx: Transaction) -> None:
            goes.append(len(tx.sums(Filter(merchant=MERCHANT, shift=RUNNING_SHIFT))))
            if len(goes) == 1:
                till.mark_told([done.request_id])
            tx.close_shift(MERCHANT, Shift(1, "{}", "h"))

        office.transact(close)
        assert goes == [1, 1]
        assert [one.told for one in office.history(Filter(merchant=MERCHANT, shift=1))] == [True]

"""The journal beside a statement: everything on either side is matched or named, to the fen."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran, Shop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pty_run import pty_run
from scenes import HOSTILE, PAID, payment

from posctl.config.profile import Statement
from posctl.errors import UsageError
from posctl.money.order import yuan
from posctl.money.outcome import Event, Outcome, Standing, State
from posctl.money.record import Payment
from posctl.office.reconcile import Found, name_earlier, reconcile
from posctl.office.statement import Row, What, moment_of, read_rows, span_of
from posctl.table import fen_of

Training = Callable[..., Ran]

DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 6  # noon in China
ALIPAY = "支付宝交易号,商户订单号,业务类型,完成时间,订单金额（元）,备注"


def ours(n: int, event: Event = Event.PAID, fee: int = 100, at_ms: int = NOON_MS) -> Payment:
    """Payment number `n`: payment_order_id v1, channel_order_id t1, request_id order-0001."""
    verdict = PAID._replace(
        payment_order_id=f"v{n}", channel_order_id=f"t{n}", current_pay_fee=None
    )
    one = payment(event, verdict=verdict, request_id=f"order-{n:04d}", fee=fee)
    return one._replace(created_ms=at_ms)


def row(*ids: str, fee: int = 100, at_ms: int | None = NOON_MS, line: int = 2) -> Row:
    return Row(line, ids, fee, at_ms)


def compared(payments: list[Payment], rows: list[Row]) -> dict[str, list[str | None]]:
    """What does not match, by request_id, or by the statement's first id."""
    day = NOON_MS - NOON_MS % DAY_MS
    done = reconcile(payments, rows, day, day + DAY_MS)
    found = {
        "only_ours": done.only_ours,
        "only_theirs": done.only_theirs,
        "differ": done.differ,
        "refunds": done.refunds,
        "open": done.open,
    }
    named = {
        name: [one.request_id or next(iter(one.ids), None) for one in kind.items]
        for name, kind in found.items()
        if kind.n
    }
    assert done.good == (not named.keys() - {"open"})
    return named | ({"matched": [str(done.matched)]} if done.matched else {})


@pytest.mark.parametrize("by", ["v1", "t1", "order-0001"])
def test_any_of_the_three_ids_matches(by: str) -> None:
    """payment_order_id, channel_order_id or request_id, whichever the statement has."""
    assert compared([ours(1)], [row("other", by)]) == {"matched": ["1"]}


def test_each_side_is_named() -> None:
    """Only ours, only theirs, another amount, open here; and a failed one needs no line."""
    payments = [
        *(ours(1), ours(2), ours(3), ours(4, Event.FAILED), ours(5, Event.READ_TIMEOUT)),
    ]
    rows = [row("t1"), row("t2", fee=99), row("t9")]
    assert compared(payments, rows) == {
        "matched": ["1"],
        "differ": ["order-0002"],
        "only_ours": ["order-0003"],
        "only_theirs": ["t9"],
        "open": ["order-0005"],
    }


@pytest.mark.parametrize("event", [Event.FAILED, Event.READ_TIMEOUT, Event.STILL_PENDING])
def test_what_they_charged_and_we_do_not_hold_paid_is_only_theirs(event: Event) -> None:
    """An open or failed payment of ours in the statement is named with what it is here."""
    day = NOON_MS - NOON_MS % DAY_MS
    done = reconcile([ours(1, event)], [row("v1")], day, day + DAY_MS)
    (item,) = done.only_theirs.items
    assert (item.request_id, item.fee, item.theirs) == ("order-0001", 0, 100)
    assert item.outcome is not Outcome.SUCCESS
    assert not done.good


def test_a_second_charge_and_a_refund_show() -> None:
    """Several lines of one payment are summed: twice charged differs; what was given back is told
    beside what was charged, whether a line of its own says so, a column, or both.
    """
    assert compared([ours(1)], [row("t1"), row("t1")]) == {"differ": ["order-0001"]}
    back = {"matched": ["1"], "refunds": ["order-0001"]}
    in_column = row("t1")._replace(refund=30)
    for rows in (
        [row("t1"), row("t1", fee=-30, line=9)],
        [in_column],
        [in_column, row("t1", fee=-30)],
    ):
        assert compared([ours(1)], rows) == back
        done = reconcile([ours(1)], rows, 0, NOON_MS * 2)
        (item,) = done.refunds.items
        assert (item.theirs, item.fee, done.charged, done.given_back) == (-30, 100, 100, 30)
        assert item.lines == tuple(r.line for r in rows if r.fee < 0 or r.refund)
    unpaid = ours(1, Event.FAILED)
    assert compared([unpaid], [row("t1"), row("t1", fee=-100)]) == {}


def test_payments_that_share_a_voucher_are_compared_together() -> None:
    """Two parts under one payment_order_id match the two lines that name it."""
    parts = [
        one._replace(verdict=one.verdict._replace(payment_order_id="v"))
        for one in (ours(1, fee=70), ours(2, fee=30))
    ]
    assert compared(parts, [row("v", fee=30), row("v", fee=70)]) == {"matched": ["2"]}


def test_midnight_divides_nothing() -> None:
    """Begun before midnight and charged after it is matched on either day, and named on none."""
    begun = ours(1, at_ms=NOON_MS - DAY_MS)
    assert compared([begun], [row("t1")]) == {"matched": ["1"]}
    assert compared([ours(1)], [row("t1", at_ms=NOON_MS + DAY_MS)]) == {"matched": ["1"]}
    assert compared([begun], [row("t1", at_ms=NOON_MS - DAY_MS)]) == {}
    assert compared([begun], []) == {}
    assert compared([], [row("t1", at_ms=NOON_MS - DAY_MS)]) == {}
    assert compared([], [row("t1", at_ms=None)]) == {"only_theirs": ["t1"]}


def test_a_payment_closed_by_hand_counts_as_it_was_closed() -> None:
    """A person said paid: then it must be in the statement."""
    by_hand = ours(1)._replace(standing=Standing(State.RESOLVED, paid=True))
    assert compared([by_hand], []) == {"only_ours": ["order-0001"]}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    fees=st.lists(st.integers(1, 500), max_size=8),
    charged=st.lists(st.tuples(st.integers(0, 9), st.integers(-500, 500)), max_size=12),
)
def test_the_money_adds_up(fees: list[int], charged: list[tuple[int, int]]) -> None:
    """Matched, only ours, only theirs and differing make up both sides, to the fen."""
    payments = [ours(n, fee=fee) for n, fee in enumerate(fees)]
    rows = [row(f"t{n}", fee=fee) for n, fee in charged]
    day = NOON_MS - NOON_MS % DAY_MS
    done = reconcile(payments, rows, day, day + DAY_MS)
    differing = sum(one.fee for one in done.differ.items)
    assert done.matched_fee + done.only_ours.fee + differing == sum(fees)
    theirs = done.matched_fee + done.only_theirs.fee + sum(i.theirs for i in done.differ.items)
    assert theirs + done.refunds.fee == sum(fee for _n, fee in charged)
    assert done.charged - done.given_back == sum(fee for _n, fee in charged)


# ── real exports ─────────────────────────────────────────────────────────────────────────────

STATEMENTS = Path(__file__).parents[1] / "harness" / "data" / "statements"
CLOSED, FEE, OTHER, SUM, COMMENT = What.CLOSED, What.FEE, What.OTHER, What.SUM, What.COMMENT
SKIPPED = {
    "alipay_orders": {COMMENT: 4},
    "alipay_account": {FEE: 2, OTHER: 1, COMMENT: 4},
    "alipay_trades": {CLOSED: 1, OTHER: 1, SUM: 7},
    "wechat_orders": {SUM: 2},
    "wechat_funds": {FEE: 1, OTHER: 1, SUM: 2},
}


def trade(n: int) -> str:
    return f"20241004220014763254810{n:05d}"


@pytest.mark.parametrize("export", SKIPPED)
@pytest.mark.parametrize("padded", [False, True])
def test_every_planted_difference_is_found_and_nothing_else(
    write: Write, export: str, padded: bool
) -> None:
    """In Alipay's three exports and WeChat's two: two payments match, one of them given back in
    part; one has another amount, one is missing, one is open here and charged there, one is
    not ours; closed, revoked and own movements of the platform's are no difference. Also when a
    spreadsheet has padded all lines to one width.
    """
    raw = (STATEMENTS / f"{export}.csv").read_bytes()
    if padded:
        records = list(
            csv.reader(
                io.StringIO(raw.decode("utf-8-sig" if raw[:3] == b"\xef\xbb\xbf" else "gb18030"))
            )
        )
        out = io.StringIO()
        width = max(map(len, records))
        csv.writer(out).writerows([*one, *[""] * (width - len(one))] for one in records)
        raw = out.getvalue().encode("utf-16")
    path = write("")
    path.write_bytes(raw)
    events = {5: Event.READ_TIMEOUT, 6: Event.FAILED}
    payments = [
        one._replace(verdict=one.verdict._replace(channel_order_id=trade(n)))
        for n in range(1, 7)
        for one in [ours(n, events.get(n, Event.PAID))]
    ]
    rows = list(read_rows(path, Statement()))
    span = span_of(rows)
    assert span == (NOON_MS - DAY_MS // 2, NOON_MS + DAY_MS // 2)
    done = reconcile(payments, rows, *span)
    found = {
        name: {(one.request_id, one.theirs) for one in kind.items}
        for name, kind in vars(done).items()
        if isinstance(kind, Found) and kind.n
    }
    assert found == {
        "only_ours": {("order-0004", 0)},
        "only_theirs": {("order-0005", 100), (None, 8800)},
        "differ": {("order-0003", 90)},
        "refunds": {("order-0002", -30)},
    }
    assert (done.matched, done.matched_fee) == (2, 200)
    revoked = 100 if export == "wechat_orders" else 0
    assert (done.charged, done.given_back) == (9190 + revoked, 30 + revoked)
    assert {what: lines.n for what, lines in done.skipped.items()} == SKIPPED[export]


def test_a_refund_of_an_earlier_payment_names_it() -> None:
    """Given back days later, in a statement without the charge: the payment is found by its id."""
    earlier = ours(1, at_ms=NOON_MS - 9 * DAY_MS)
    rows = [
        row("t1", fee=-30)._replace(what=What.REFUND),
        row("x", fee=-5)._replace(what=What.REFUND),
    ]
    done = reconcile([], rows, NOON_MS - DAY_MS, NOON_MS + DAY_MS)
    name_earlier(done, [ours(2), earlier])
    assert [(i.request_id, i.theirs) for i in done.refunds.items] == [
        ("order-0001", -30),
        (None, -5),
    ]
    assert not done.only_theirs.n


def test_a_refund_tells_when_it_was_given_back() -> None:
    """By its own line; a column beside the payment says no time."""
    later = NOON_MS + 3_600_000
    rows = [row("t1"), row("t1", fee=-30, at_ms=later, line=3), row("t2")._replace(refund=40)]
    rows.append(row("x", fee=-5, at_ms=later, line=5)._replace(what=What.REFUND))
    done = reconcile([ours(1), ours(2)], rows, NOON_MS - DAY_MS, NOON_MS + DAY_MS)
    found = {(one.request_id, one.at_ms, one.back_ms) for one in done.refunds.items}
    assert found == {
        ("order-0001", NOON_MS, later),
        ("order-0002", NOON_MS, None),
        (None, later, later),
    }


def test_what_was_begun_after_the_last_line_may_be_in_the_next_statement() -> None:
    """A statement that was made before the day was over, or a payment of one minute to midnight."""
    rows = [row("t1"), row("x", fee=5)]
    payments = [ours(1), ours(2, at_ms=NOON_MS + 1), ours(3, at_ms=NOON_MS - 1)]
    done = reconcile(payments, rows, NOON_MS - DAY_MS, NOON_MS + DAY_MS)
    assert (done.only_ours.n, done.later, done.last_ms) == (2, 1, NOON_MS)
    assert not done.good


# ── the file ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, encoding: str = "utf-8", name: str = "st.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


Write = Callable[..., Path]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_alipays_exports_are_read_as_they_are(write: Write, encoding: str, end: str) -> None:
    """Comment lines, padded ids, quoted fields, thousands, a summary behind the table; no key."""
    text = end.join(
        [
            "#支付宝业务明细查询",
            "#账号：[20881234567890120156]",
            "#-----------业务明细列表-----------",
            ALIPAY,
            '2026010122001400001\t,`v1 ,交易,2026-01-31 23:59:59,"1,234.50","袋子, 红""色"""',
            "2026010122001400002,v2,退款,2026-02-01 00:00:00,-0.5,",
            ",,,,,",
            "2026010122001400003,v3,服务费,2026-02-01 08:00:00,,",
            "",
            "#-----------业务明细列表结束-----------",
            "#交易合计：1笔",
            "",
        ]
    )
    told = list(read_rows(write(text, encoding), Statement()))
    assert [(r.line, r.what) for r in told[2:]] == [
        *((8, What.FEE), (10, What.COMMENT), (11, What.COMMENT)),
    ]
    rows = told[:2]
    assert [(r.line, r.ids, r.fee) for r in rows] == [
        (5, ("2026010122001400001", "v1"), 123_450),
        (6, ("2026010122001400002", "v2"), -50),
    ]
    assert rows[0].at_ms == 1_769_875_199_000  # 15:59:59 UTC
    assert span_of(rows) == (1_769_788_800_000, 1_769_961_600_000)  # two of China's days


def test_the_profile_names_columns_unit_and_encoding(write: Write) -> None:
    """Other columns, fen, and names whatever their case, spaces and brackets are."""
    text = "note;x\nBooked At,Ref No.,Gross（fen）\n20260131120000,a1,100\n"
    how = Statement("ref no.", "gross(FEN)", "fen", "booked at", "gbk")
    assert list(read_rows(write(text, "gbk"), how)) == [Row(3, ("a1",), 100, 1_769_832_000_000)]
    yuan_too = list(read_rows(write(text), how._replace(amount_unit=None, encoding=None)))
    assert yuan_too[0].fee == 10_000


BAD = {
    f"{ALIPAY}\n1,2,x,2026-01-31 1:00:00,ten,\n": "line 2: 'ten' is not an amount",
    f"{ALIPAY}\n1,2,x,2026-01-31 1:00:00,1.234,\n": "line 2: '1.234' is not an amount",
    f"{ALIPAY}\n1,2,x,2026-01-31 1:00:00,12,3\n1,2,x,soon,1,\n": "line 3: 'soon' is not",
    f"{ALIPAY}\n1,2,x,2026-02-30 1:00:00,1,\n": "line 2: '2026-02-30 1:00:00' is not a time",
    f"{ALIPAY}\n1,2,x,2026-01-31 1:00:00,1,A,Co\n": "line 2: it has more columns",
    f"{ALIPAY}\n1,2\n": "line 2: it has too few columns",
    f"{ALIPAY}\n1,2,A Co.,LTD,2026-01-31 1:00:00,1,\n": "is not an amount",
    f"{ALIPAY}\n1,2,x,2026-01-31 1:00:00,1,{'x' * (1 << 20)}\n": "line 2: the line is too long",
    f'{ALIPAY}\n1,2,x,2026-01-31 1:00:00,1,"{"x" * 200_000}"\n': "line 2: it is not CSV",
    "a,b\n1,2\n": "no line names the columns",
    "": "no line names the columns",
    "x\n" * 300 + ALIPAY: "no line names the columns",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_bad_file_is_refused_with_its_line(write: Write, text: str) -> None:
    """What cannot be read for certain is not passed over: exit 2, and the line to look at."""
    with pytest.raises(UsageError) as refused:
        list(read_rows(write(text), Statement()))
    assert BAD[text] in refused.value.message


def test_what_is_no_text_is_refused(write: Write, tmp_path: Path) -> None:
    """A spreadsheet's own file, a wrong encoding, a folder, nothing: a sentence each."""
    path = write("")
    how = Statement()
    path.write_bytes(zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}))
    with pytest.raises(UsageError, match=r"own file \(xlsx\). Save it as CSV"):
        list(read_rows(path, how))
    path.write_bytes(ALIPAY.encode() + b"\n1,\xff\xff,x,2026-01-31 1:00,1,\n")
    with pytest.raises(UsageError, match="line 2: it is not utf-8 text"):
        list(read_rows(path, how._replace(encoding="utf-8")))
    for missing in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UsageError, match="cannot be read"):
            list(read_rows(missing, how))


def zipped(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return raw.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16"])
def test_an_archive_with_one_statement_is_read(write: Write, encoding: str) -> None:
    """As the platform packs it: its sums and what an Apple adds are no second statement; two, and
    none, are.
    """
    table = f"{ALIPAY}\n1,2,x,2026-01-31 1:00:00,1.00,\n".encode(encoding)
    path = write("", name="st.zip")
    files = {"2088_业务明细.csv": table, "2088_业务明细(汇总).csv": b"x", "__MACOSX/a.csv": b""}
    path.write_bytes(zipped(files))
    assert [row.fee for row in read_rows(path, Statement())] == [100]
    for files in ({"a.csv": table, "b.csv": table}, {"a.pdf": table}):
        path.write_bytes(zipped(files))
        with pytest.raises(UsageError, match="one is needed"):
            list(read_rows(path, Statement()))
    path.write_bytes(zipped({"a.csv": table})[:80])
    with pytest.raises(UsageError, match="Unpack it"):
        list(read_rows(path, Statement()))


@pytest.mark.parametrize(
    "cells",
    [
        *('"Big" cake,a1,1.00', '5" cake,a1,1.00', '"open,a1,1.00', "#1002,a1,1.00"),
        *('"two\n#lines",a1,1.00', '"a ""word""",a1,"1.00"', "x,a1\t,1.00,", "x,`a1,1.00"),
        *("x,'a1,1.00", 'x,"=""a1""",1.00', "x, a1 ,￥1.00", "#,a1,1.00,,"),
    ],
)
def test_a_line_is_read_whatever_stands_in_its_cells(write: Write, cells: str) -> None:
    """Quotes out of place, # in front, cells of several lines, ids that are quoted: none is lost,
    nor is the line behind it.
    """
    text = f"备注,交易号,金额\n{cells}\nlast,a2,2.00\n合计,,3.00\n#end\n"
    rows = list(read_rows(write(text), Statement()))
    assert [(row.ids, row.fee) for row in rows[:2]] == [(("a1",), 100), (("a2",), 200)]
    assert [row.what for row in rows[2:]] == [What.SUM, What.COMMENT]


@pytest.mark.parametrize("cell", ["2.02611E+27", "2,02611E+27", "2026112722001490000000000000"])
def test_ids_that_a_spreadsheet_shortened_are_told(
    trained: Training, shop: Shop, cell: str
) -> None:
    """A line that matches nothing because its id was shortened is no difference: exit 2 and why."""
    pay(trained, 1)
    text = f'交易号,金额\n"{cell}",1.00\n'
    (shop.home / "st.csv").write_text(text)
    ran = trained("reconcile", "st.csv", "--day", "today", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "shortened_number")
    assert "line 2" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        *(("1", 100), ("1.5", 150), ("1.50", 150), ("1.500", 150), ("0.01", 1), ("-0.01", -1)),
        *(("+1.00", 100), ("￥1.00", 100), ("¥1.00", 100), ("-￥1.00", -100), ("￥-1.00", -100)),
        *(("1,234.50", 123_450), ("1,234,567", 123_456_700), ("12,34.50", None), ("1,23", None)),
        *(("1.234", None), ("--1", None), ("-￥-1", None), ("１", None), ("1e3", None), ("", None)),
        *((".5", None), ("1.", None), ("NaN", None), ("1 000", None), ("(1.00)", None)),
    ],
)
def test_amounts_are_exact_or_refused(text: str, fen: int | None) -> None:
    """Yuan become fen without a float; what could be read in two ways is no amount."""
    assert fen_of(text) == fen


@given(st.integers(-(10**13), 10**13))
def test_every_amount_comes_back(fen: int) -> None:
    """Yuan as posctl prints them are read as the same fen, with thousands separators too."""
    assert fen_of(yuan(fen)) == fen
    assert fen_of(f"{'-' if fen < 0 else ''}{abs(fen) // 100:,}.{abs(fen) % 100:02d}") == fen


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-31 12:00:00", "2026/1/31 12:00", "2026.01.31 12:00:00", "20260131120000"),
        *("2026-01-31T12:00:00", "2026-01-31T04:00:00Z", "2026-01-31T05:00:00+01:00"),
        *("2026-01-31 12:00:00.123", "2026-01-31T04:00:00.000+00:00"),
    ],
)
def test_times_without_a_zone_are_the_platforms(text: str) -> None:
    """Every spelling of noon in China is noon in China, wherever this machine stands."""
    assert (moment_of(text) or 0) // 1000 == 1_769_832_000


def test_a_large_statement_is_read_line_by_line(tmp_path: Path) -> None:
    """40 MB need no memory to speak of: it grows by less than a tenth of the file."""
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{ALIPAY}\n")
        for n in range(20_000):
            file.write(f"t{n},v{n},交易,2026-01-31 12:00:00,1.00,{'备注' * 300}\n")
    script = (
        "import resource, sys; from pathlib import Path;"
        "from posctl.config.profile import Statement;"
        "from posctl.office.statement import read_rows, span_of\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert span_of(read_rows(Path(sys.argv[1]), Statement()))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) * 1024 < path.stat().st_size / 10


# ── the command ──────────────────────────────────────────────────────────────────────────────


def pay(trained: Training, n: int, code: str = "01") -> dict[str, object]:
    ran = trained(
        *("pay", "--fee", "100", "--checkout", str(n), "--json", "--code-stdin"),
        stdin=f"2800000000000000{code}",
    )
    return ran.json


@pytest.fixture
def statement(shop: Shop) -> Callable[..., str]:
    def statement(*lines: str) -> str:
        (shop.home / "st.csv").write_text("\n".join((ALIPAY, *lines)) + "\n", encoding="gbk")
        return "st.csv"

    return statement


def line(paid: dict[str, object], amount: str = "1.00") -> str:
    when = str(paid["created_at"])
    return f"{paid['channel_order_id']},x,交易,{when},{amount},"


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC", "America/New_York"])
def test_everything_matches_exits_0(
    trained: Training, statement: Callable[..., str], zone: str
) -> None:
    """The statement's own days are the period, wherever this machine stands."""
    paid = [pay(trained, n) for n in (1, 2)]
    pay(trained, 3, "03")
    name = statement(*(line(one) for one in paid))
    ran = trained("reconcile", name, "--json", env={"TZ": zone})
    assert (ran.code, ran.json["exit_code"], ran.json["error"]) == (0, 0, None)
    assert (ran.json["matched"], ran.json["matched_fee"], ran.json["lines"]) == (2, 200, 2)
    assert ran.json["live"] is False


def test_differences_exit_22_and_are_named(
    trained: Training, shop: Shop, statement: Callable[..., str]
) -> None:
    """JSON and CSV name each difference with both amounts, ids and the statement's line."""
    first, second, third = (pay(trained, n) for n in (1, 2, 3))
    unknown = pay(trained, 4, "09")
    when = first["created_at"]
    name = statement(
        line(second, "2.00"),
        line(third),
        f"{unknown['request_id']},,交易,{when},1.00,",
        f"=1+1,,交易,{when},7.00,",
    )
    ran = trained("reconcile", name, "--json", "--csv", "out.csv")
    assert (ran.code, ran.json["error"]["code"]) == (22, "not_matching")
    data = ran.json
    assert [i["request_id"] for i in data["only_ours"]["items"]] == [first["request_id"]]
    differ = data["differ"]["items"][0]
    assert (differ["request_id"], differ["fee"], differ["statement_fee"], differ["line"]) == (
        *(second["request_id"], 100),
        *(200, 2),
    )
    theirs = {i["line"]: (i["request_id"], i["outcome"]) for i in data["only_theirs"]["items"]}
    assert theirs == {4: (unknown["request_id"], "unknown"), 5: (None, None)}
    text = (shop.home / "out.csv").read_text(encoding="utf-8")
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text[1:])))
    assert sorted(row["kind"] for row in rows) == [
        *("differ", "only_ours"),
        *("only_theirs", "only_theirs"),
    ]
    assert "'=1+1" in {row["ids"] for row in rows}
    piped = trained("reconcile", name, "--csv", "-")
    assert (piped.code, piped.out) == (22, text)
    assert "Written: out.csv" in ran.err


def test_a_statement_of_another_day_is_not_taken_for_good(
    trained: Training, statement: Callable[..., str]
) -> None:
    """Where every line is of another time nothing was compared: 2, and no "all in order"."""
    name = statement("zz,,交易,2020-01-01 00:00:00,1.00,")
    ran = trained("reconcile", name, "--day", "today", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "other_time")
    assert trained("reconcile", name).code == 22, "its own time"


def test_a_day_chooses_what_is_compared(trained: Training, statement: Callable[..., str]) -> None:
    """Lines of other days are counted and left alone; without any time the day must be said."""
    paid = pay(trained, 1)
    name = statement(line(paid), "zz,,交易,2020-01-01 00:00:00,1.00,")
    ran = trained("reconcile", name, "--day", "today", "--json")
    assert (ran.code, ran.json["matched"], ran.json["lines_outside"]) == (0, 1, 1)
    whole = trained("reconcile", name, "--json")
    assert (whole.code, whole.json["only_theirs"]["count"]) == (22, 1)
    name = statement(f"{paid['channel_order_id']},,交易,,1.00,")
    assert trained("reconcile", name, "--json").json["error"]["code"] == "no_period"
    assert trained("reconcile", name, "--day", "today", "--json").code == 0


def test_training_is_not_set_beside_live(
    shop: Shop, trained: Training, statement: Callable[..., str]
) -> None:
    """A live profile's statement meets live payments alone."""
    paid = pay(trained, 1)
    shop.profile("https://127.0.0.1:9/router/rest")
    ran = shop.run("reconcile", statement(line(paid)), "--json")
    assert (ran.code, ran.json["matched"], ran.json["only_theirs"]["count"]) == (22, 0, 1)


def test_the_profile_says_how_the_statement_is_read(shop: Shop, trained: Training) -> None:
    """The keys of `statement` in the profile in use; a wrong one names its line (3)."""
    paid = pay(trained, 1)
    (shop.home / "bank.csv").write_text(f"No,Cents\n{paid['request_id']},100\n")
    config = shop.home / "config.yaml"
    shop.env["POSCTL_CONFIG"] = str(config)
    for value, code in (
        ("{id: No, amount: Cents, amount_unit: fen}", 0),
        ("{id: No, amount: Cents}", 22),
        ("{id: Nr, amount: Cents}", 2),
        ("{id: No, amount: Cents, time: When}", 2),
        ("{unit: fen}", 3),
        ("{amount_unit: cent}", 3),
    ):
        config.write_text(f"profiles:\n  training:\n    statement: {value}\n")
        config.chmod(0o600)
        ran = trained("reconcile", "bank.csv", "--day", "today", "--json")
        assert ran.code == code, ran


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("columns", [30, 80])
def test_the_screen_fits_and_says_it_all(
    trained: Training,
    shop: Shop,
    statement: Callable[..., str],
    columns: int,
    lang: str,
) -> None:
    """Every difference with both amounts, and hostile words from the file stay words."""
    first, second = (pay(trained, n) for n in (1, 2))
    unknown = pay(trained, 3, "09")
    evil = re.sub(r"[\n\r,\"\ud800\U000e0041]", "", HOSTILE).encode("gbk", "ignore").decode("gbk")
    name = statement(
        line(second, "2.00"),
        f"{unknown['request_id']},,交易,{first['created_at']},1.00,",
        f"{evil},,交易,{first['created_at']},7.00,",
    )
    command = [*shop.command, "--profile", "training", "--lang", lang, "reconcile", name]
    shown = pty_run(command, columns=columns, env=shop.env | {"TERM": "dumb"}, cwd=shop.home)
    assert shown.exit_code == 22
    assert shown.widest <= columns
    for fact in ("￥1.00", "￥2.00", "￥7.00", first["request_id"], second["request_id"]):
        assert str(fact) in shown.flow
    assert f"resolve {unknown['request_id']} --as paid" in shown.flow
    assert "owned" not in shown.title
    assert b"\x1b]" not in shown.raw

"""The upgrade from 0.1 as it was released, with open payments, a closed shift and a payment on its
way: what docs/operations.md says was rehearsed. The code of 0.1 is in this repository's history.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran, Shop
from merciless import Members, Merciless, paid, told

RELEASED = "873f606"  # posctl 0.1.0
CHECKOUT = Path(__file__).parents[2]
WAITS = "5"  # the checkout whose customer confirms while posctl is exchanged

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform == "win32", reason="archives are unpacked by paths of POSIX"),
]
Old = Callable[..., Ran]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with posctl 0.1."""
    asked = ["git", "-C", str(CHECKOUT), "archive", RELEASED, "posctl"]
    done = subprocess.run(asked, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no history here, as in an sdist")
    folder = tmp_path_factory.mktemp("released")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder)  # git's own; 3.11.2 knows no filter
    return folder


@pytest.fixture
def gateway() -> Iterator[Merciless]:
    with Merciless() as one:
        one.answer = as_checkout_says
        yield one


def as_checkout_says(members: Members) -> bytes | None:
    """How the first try of each checkout ends."""
    model = {"result_status": 1, "remaining_fee": 0, "current_pay_fee": members["pay_fee"]}
    match members["checkout_id"]:
        case "2":
            return None
        case "3" | "5":
            return told({"result_status": 3, "is_success": True})
        case "4":
            return told(model | {"payment_order_id": "V-4", "is_success": False})
    return paid(members)


@pytest.fixture(params=["file", "database"])
def till(request: pytest.FixtureRequest, shop: Shop, gateway: Merciless) -> Shop:
    """A machine whose journal nobody has begun, in a file or in PostgreSQL."""
    if request.param == "database":
        shop.env["POSCTL_JOURNAL"] = request.getfixturevalue("database").url()
    shop.begun = True
    shop.profile(gateway.url, timeout="{connect: 9, read: 9, total: 20}")
    return shop


def start_old(till: Shop, released: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "posctl", *args],
        env=till.env | {"PYTHONPATH": str(released)},
        cwd=till.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def old(till: Shop, released: Path, *args: str) -> Ran:
    """Posctl 0.1 at that till, to its end."""
    process = start_old(till, released, *args)
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out, err)


def pay(checkout: str) -> tuple[str, ...]:
    return ("pay", "--fee", "100", "--checkout", checkout, "--json")


def outcomes(ran: Ran) -> dict[str, Any]:
    return {one["request_id"]: one["outcome"] for one in ran.json["payments"]}


def test_posctl_is_exchanged_with_open_payments(
    till: Shop, released: Path, gateway: Merciless
) -> None:
    """Nothing is lost and nobody is charged twice: what 0.1 closed stays as it was, what it left
    open goes on under its own request_id, what it is just sending ends, and 0.1 is refused after
    that.
    """
    assert old(till, released, "--version").out.strip() == "posctl 0.1.0"
    assert old(till, released, *pay("1")).code == 0
    assert old(till, released, "report", "--close", "--yes").code == 0
    ended = {n: old(till, released, *pay(n)).code for n in ("2", "3", "4")}
    assert ended == {"2": 21, "3": 20, "4": 22}
    with start_old(till, released, *pay(WAITS), "--wait", "60") as on_its_way:
        gateway.wait_for(lambda: gateway.requests[-1]["checkout_id"] == WAITS)

        checks = {one["name"]: one for one in till.run("doctor", "--json").json["checks"]}
        assert checks["journal"]["status"] == "good"
        assert "of an older posctl" in checks["journal"]["message"]
        assert old(till, released, "pending", "--json").code == 0  # it was only looked at
        before = outcomes(old(till, released, "history", "--json"))
        assert outcomes(till.run("history", "--json")) == before  # the first 0.2
        assert till.run("report", "--verify").code == 0
        told_by_old, _err = on_its_way.communicate(timeout=60)
        assert on_its_way.returncode == 20, told_by_old

    gateway.answer = paid
    tried = till.run("retry", "--all", "--json").json["payments"]
    assert {one["checkout_id"]: one["outcome"] for one in tried} == {
        "2": "success",
        "3": "success",
        "4": "blocked",
        WAITS: "success",
    }
    assert {one["request_id"] for one in tried} < set(before)
    closing = ("report", "--close", "--yes", "--note", "4 is asked about", "--json")
    assert till.run(*closing).json["shift"] == 2
    assert till.run("report", "--verify").code == 0

    for words in (pay("6"), ("retry", "--all"), ("pending",)):
        refused = old(till, released, *words)
        assert refused.code == 31, words
        assert "posctl" in refused.err + refused.out
    assert till.run(*pay("6")).code == 0
    charged = [members["checkout_id"] for members in gateway.charges.values()]
    assert sorted(charged) == ["1", "2", "3", "4", WAITS, "6"]


def test_a_backup_of_0_1_put_over_it_is_undone(
    shop: Shop, released: Path, gateway: Merciless
) -> None:
    """0.1 restores its old backup over a newer journal; 0.2 refuses that one, and brings back all
    that the newer one knew.
    """
    shop.begun = True
    shop.profile(gateway.url)
    assert old(shop, released, *pay("1")).code == 0
    assert old(shop, released, *pay("2")).code == 21
    assert old(shop, released, "journal", "backup", "before.db").code == 0
    assert shop.run(*pay("6")).code == 0
    known = outcomes(shop.run("history", "--json"))
    assert len(known) == 3

    assert old(shop, released, "journal", "restore", "before.db", "--yes").code == 0
    assert shop.run(*pay("7")).code == 31
    for aside in shop.home.glob("journal.db.2*"):  # or two are called alike, within a second
        _name, dash, tail = aside.name[len("journal.db.20261231-") :].partition("-")
        aside.rename(shop.home / f"kept.db{dash}{tail}")
    assert shop.run("journal", "restore", "kept.db", "--yes").code == 0
    assert outcomes(shop.run("history", "--json")) == known
    assert shop.run(*pay("7")).code == 0

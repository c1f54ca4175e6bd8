"""What people in retail call things, and where each sentence stands now.

`python tests/harness/shop_words.py` writes the table into docs/counter.md;
`tests/till/test_counter_page.py` compares it, so that no sentence gets lost elsewhere.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.pofile import read_po
from tables import with_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "counter.md"
CATALOGUE = ROOT / "posctl/locale/zh/LC_MESSAGES/posctl.po"
README = ROOT / "docs" / "README.zh.md"
BEGIN, END = "<!-- words: begin -->\n", "<!-- words: end -->\n"

# Where it is read, and the words; those of one row stand in one sentence each.
WORDS = (
    ("prompt", "单号："),
    *(("facts", one) for one in ("单号", "付款编号", "平台付款单号", "支付宝交易号", "追踪号")),
    *(("head of the till", one) for one in ("收银员", "收银机", "门店")),
    ("in flight", "正在收款，请稍候 · {seconds} 秒（回车：先接待下一位）"),
    ("in flight, slow", "正在收款，请勿重复收款"),
    ("status line", "收款中 {count} 笔"),
    ("status line", "待确认 {count} 笔"),
    ("pending", "等待顾客在手机上确认"),
    ("pending", "结果出来之前请勿重复收款"),
    ("pending, reason", "请顾客在手机上输入密码或确认；也可能支付宝还没有返回结果。"),
    ("unknown, reason", "平台一直没有回复。"),
    ("unknown, reason", "收款请求发出后网络断了。"),
    ("code used", "付款失败：这个付款码已经用过"),
    ("earlier", "▲ 这是前面顾客的付款（单号 {checkout_id}），不是当前顾客"),
    ("settled", "已付清"),
    ("blocked", "未收款"),
    ("blocked", "这次没有收钱，也没有发出请求。"),
    ("more than due", "这一单只差 {due}"),
    ("open list", "没有这个编号的待确认付款。按 o 看列表"),
    ("help", "取消这一单（还没有收钱）"),
    ("help", "接着会问单号和付款码"),
    ("help", "退出收银"),
    ("retry", "再查这笔付款（不会重复扣款）"),
    ("resolve", "人工确认"),
    ("resolve", "（人工）"),
    ("close", "确认第 {number} 班结班？结班后不能修改。"),
    ("report", "实收合计"),
    ("report", "成功 {n} 笔"),
    ("report", "失败 {n} 笔"),
    ("report", "结班人"),
    ("report", "结班报表（Z）· 第 {number} 班"),
    ("report", "按支付方式"),
    ("report", "支付宝当面付"),
    ("report", "待核实：{n} 笔，{money}（可能已扣款，未计入实收）"),
    ("receipt", "收款小票"),
    ("receipt", "重打 第 {n} 次"),
    ("receipt", "不详（平台未返回）"),
    ("history", "还有更早的"),
    ("configuration", "配置方案"),
    ("README", "也可以手工编辑"),
    ("README", "无论断网、断电，还是误按了 ↑ 加回车，都不会重复扣款、不会漏单。"),
)
# Words of accountants and of the API that no screen has any more.
GONE = ("结账单", "未决", "了结", "经手人", "在途", "平台未告知", "交班")


def said() -> dict[str, str]:
    """Chinese → English, all that posctl says."""
    with CATALOGUE.open("rb") as opened:
        return {str(one.string): str(one.id) for one in read_po(opened) if one.id}


def stands(where: str, words: str, known: dict[str, str]) -> str | None:
    """The English sentence that these words are said for, or the page; None when nowhere."""
    if where == "README":
        return "docs/README.zh.md" if words in README.read_text() else None
    exact = known.get(words)
    found = exact or next((known[one] for one in sorted(known, key=len) if words in one), None)
    return found.replace("|", "\\|").strip() if found else None


def table() -> str:
    """The table of docs/counter.md."""
    known = said()
    lines = ["| where | in Chinese | said for |", "|---|---|---|"]
    for where, words in WORDS:
        lines.append(f"| {where} | {words} | {stands(where, words, known) or '**nowhere**'} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """`page` with the table of this state of the code."""
    return with_table(page, BEGIN, table(), END)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))

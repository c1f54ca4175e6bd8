"""What a refusal speaks of, and so what it proves. Pure, and the one place for the words.

What a platform says of the *repeat* of a payment that it has charged is, more often than not,
"failed": the code is invalid or expired (we consumed it), the order is finished, the payment is in
progress, the system is busy. No list of such words is ever complete. So the test is the other way
round: in doubt, a refusal proves "not charged" only when it is a *known decline*, one that excludes
an earlier charge; what `DECLINES` does not hold leaves the payment open (docs/outcomes.md).
"""

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple


class Speaks(StrEnum):
    """What the words of a refusal are about."""

    DECLINE = "decline"  # this payment was not charged, nor was it before
    CODE = "code"  # the payment code: used, invalid, expired
    DONE = "done"  # something done to the order: paid, finished, closed
    DUPLICATE = "duplicate"  # the request or the order was seen before
    UNDECIDED = "undecided"  # nobody knows yet
    MALFORMED = "malformed"  # what was sent, or what it names: invalid parameter, no such shop
    OTHER = "other"


class Why(StrEnum):
    """Why a known decline excludes an earlier charge."""

    BALANCE = "balance"
    LIMIT = "limit"
    CANCELLED = "cancelled"
    RISK = "risk"
    ACCOUNT = "account"
    CLOSED = "closed"


class Decline(NamedTuple):
    """A result code that is a known decline, whatever words come with it.

    `words` are the wallet's own for it.
    """

    code: str
    words: str
    why: Why
    wallet: str
    source: str


# Both tables of the wallets' pages, as public code copies them whole, with cause and remedy.
_TRADE_PAY = "Alipay", "alipay.trade.pay, as in Bishoptylaor/paypay, alipay/utils/busserr.go"
_MICROPAY = "WeChat Pay", "micropay, as in deerchao/weixin.next, src/Weixin.Next/Pay/MicroPay.cs"


DECLINES: tuple[Decline, ...] = (
    Decline("ACQ.BUYER_BALANCE_NOT_ENOUGH", "买家余额不足", Why.BALANCE, *_TRADE_PAY),
    Decline(
        "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH", "用户银行卡余额不足", Why.BALANCE, *_TRADE_PAY
    ),
    Decline("ACQ.TOTAL_FEE_EXCEED", "订单总金额超过限额", Why.LIMIT, *_TRADE_PAY),
    Decline(
        "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR", "买家付款日限额超限", Why.LIMIT, *_TRADE_PAY
    ),
    Decline(
        "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR", "买家付款月额度超限", Why.LIMIT, *_TRADE_PAY
    ),
    Decline("ACQ.BEYOND_PAY_RESTRICTION", "商户收款额度超限", Why.LIMIT, *_TRADE_PAY),
    Decline("ACQ.BEYOND_PER_RECEIPT_RESTRICTION", "商户收款金额超过月限额", Why.LIMIT, *_TRADE_PAY),
    Decline("ACQ.PAYMENT_REQUEST_HAS_RISK", "支付有风险", Why.RISK, *_TRADE_PAY),
    Decline("ACQ.ERROR_BALANCE_PAYMENT_DISABLE", "余额支付功能关闭", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.BUYER_ENABLE_STATUS_FORBID", "买家状态非法", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.MOBILE_PAYMENT_SWITCH_OFF", "用户的无线支付开关关闭", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.USER_FACE_PAYMENT_SWITCH_OFF", "用户当面付付款开关关闭", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT", "买家未通过人行认证", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.SELLER_BEEN_BLOCKED", "商家账号被冻结", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.BUYER_SELLER_EQUAL", "买卖家不能相同", Why.ACCOUNT, *_TRADE_PAY),
    Decline("ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE", "没有可用的支付工具", Why.ACCOUNT, *_TRADE_PAY),
    # "Timed out unpaid, or refunded in full": either way the customer has not paid.
    Decline("ACQ.TRADE_HAS_CLOSE", "交易已经关闭", Why.CLOSED, *_TRADE_PAY),
    Decline("NOTENOUGH", "余额不足", Why.BALANCE, *_MICROPAY),
    Decline("NOTSUPORTCARD", "不支持卡类型", Why.ACCOUNT, *_MICROPAY),
    # Both: "order and pay again". Only unpaid ones are closed; to reverse gives the money back.
    Decline("ORDERCLOSED", "订单已关闭", Why.CLOSED, *_MICROPAY),
    Decline("ORDERREVERSED", "订单已撤销", Why.CLOSED, *_MICROPAY),
)


def _plain(code: str) -> str:
    """A code as it is compared: `ACQ.TRADE_HAS_CLOSE` and `trade-has-close` are one.

    ORDER_CLOSED is not WeChat's ORDERCLOSED: elsewhere "closed" may be "paid and done".
    """
    bare = re.sub(r"^(?:ACQ|ISV|ISP|AOP)\.", "", code.strip().upper())
    return re.sub(r"[^A-Z0-9]+", "_", bare)


_BY_CODE = {_plain(one.code): one for one in DECLINES}


def decline_of(code: str) -> Decline | None:
    """The known decline that is written `code`, with or without its prefix."""
    return _BY_CODE.get(_plain(code))


# ── words ────────────────────────────────────────────────────────────────────────────────────
#
# Everything is matched in lower case and as a substring, since codes come as ALREADY_PAID,
# orderPaid, trade-has-success, … `~` stands for whatever separates the words of a code.
#
# They stay texts: `re` compiles them when a refusal is read, and keeps them. At import that would
# take 14 ms of every run, and hardly one reads a refusal.


def _any(*patterns: str) -> str:
    return "|".join(patterns).replace("~", r"[\s_.-]*")


_WHO = r"(?:用户|顾客|客户|买家|付款人|付款方|消费者)"
_THEM = r"(?:the~)?(?:user|customer|buyer|payer|cardholder)"

# Words of a known decline, in any wallet. Each must exclude that this payment was charged before.
_DECLINE_WORDS = _any(
    # balance
    r"(?:余额|资金)(?:不足|不够)",
    r"(?:balance|funds?)~(?:is~|are~)?(?:not~enough|insufficient|too~low|low)|not~sufficient~funds?",
    r"(?:insufficient|not~enough)~(?:\w+~)?(?:balance|funds?|credit)",
    # limit of an amount, never of calls
    r"(?:限额|额度|限制金额)(?:超限|不足|已用完)?|超[过出]?(?:支付|付款|交易|单笔|单日|当日|每日)?限额|金额超限",
    r"(?:amount|day|daily|month|monthly|payment|spending|transaction~amount|credit)~limit",
    # the customer
    rf"{_WHO}(?:已|主动|自行|手动|自己)*(?:取消|拒绝|放弃)了?(?:支付|付款|交易|授权)?|已取消",
    rf"{_THEM}~(?:has~)?(?:cancel|refus|reject|declin|den[iy]|abort)\w*",
    rf"(?:cancell?ed|refused|rejected|declined|denied|aborted)~by~{_THEM}",
    # risk control
    r"风控|(?:支付|交易|付款)(?:存在|有)风险|存在风险|风险(?:控制|拦截|拒绝|校验|管控)",
    r"risk~(?:control|reject|refus|declin)\w*|has~risk|high~risk",
    r"(?:reject|refus|declin|block)ed~(?:by|for|due~to|because~of)~risk\w*",
    # account or card
    r"(?:账户|帐户|账号|帐号|银行卡|信用卡|储蓄卡|该卡)(?:状态)?(?:已?被|已)?"
    r"(?:冻结|异常|注销|挂失|停用|不可用|锁定|受限|限制|过期)",
    r"不支持(?:的|该|此)?(?:银行)?卡|卡(?:种|类型)不支持",
    r"(?:account|card)~(?:is~|was~|has~been~)?(?:frozen|blocked|locked|abnormal|disabled|expired"
    r"|lost|stolen|not~support\w*|unsupported)",
    # closed without payment
    r"(?:超时)?(?:未付款|未支付)(?:的?交易|的?订单)?(?:已?超时)?(?:已被?|被|自动)*关闭",
    r"closed~(?:without~pay\w*|unpaid)|unpaid~(?:order|trade|and~)*~?closed",
)

# Only look alike: taken out before anything is looked for. Only a "not" of its own is a denial:
# OUT_TRADE_NO_USED is WeChat's "this number was used".
_HARMLESS = _any(
    r"refused|caused|focused|unpaid|unused|prepaid|postpaid|exist_forbidden_word|insufficient",
    r"(?<![a-z_])not[\s_-]+(?:yet[\s_-]+)?(?:been[\s_-]+)?(?:used|paid|successful|complete|finished)",
    r"unsuccess\w*|incomplete|(?:未|不|没有?)(?:能|被)?(?:支付|付款|使用|成功|完成|输入)(?:支付密码|密码)?",
    r"(?:can|could|did|was)(?:~not|n't)~(?:be~)?(?:complet|finish|process|settl|captur)\w*",
    r"已(?:达|超|满|停|下架|下线|冻结|锁定|注销|禁用)",
)

# What was sent, or what it names. Of the code itself nothing is said here.
_NAMED = (
    r"(?:param\w*|argument\w*|field|format|sign(?:ature|ed)?|session|token|app\w*|permission"
    r"|merchant\w*|partner\w*|seller\w*|shop\w*|store\w*|sub~mch\w*|mch\w*|method|version|charset"
    r"|timestamp|request~body)"
)
_MALFORMED = _any(
    rf"invalid~{_NAMED}|{_NAMED}~(?:is~|are~|id~|status~)*(?:invalid|error|illegal|missing)",
    r"(?<![a-z])(?:lack|missing)~\w*|not~exist\w*|does~not~exist|not~found|no~such",
    r"(?:参数|签名|格式|门店|店铺|门店编号|商户|商家|商户号|应用|权限|协议)"
    r"(?:编号|类型|状态)?(?:有误|错误|无效|非法|不合法|不正确|已?失效|不存在)",
    r"缺少(?:必要)?参数|(?:交易|订单|订单号|商户号|门店|店铺|用户|appid|mchid)不存在|非法参数",
)
_NUMBER_USED = _any(
    r"(?:trade|order|request|serial|bill|invoice)~(?:no|num|number|id|sn)?~"
    r"(?:is~|was~|has~been~|already~)*used",
    r"(?:订单|交易|请求|流水)号?(?:已经?|已被|被)使用",
    # There is such an order, and this request does not fit it (both wallets: "was it paid twice?").
    r"context~inconsistent|buyer~(?:not~match|mismatch)|trade~status~error",
    r"(?:订单|交易)信息(?:不一致|被篡改)|买家不匹配|(?:交易|订单)状态异常|支付[帐账]号错误",
)
_PAY_CODE = r"(?:付款码|支付码|授权码|二维码|条形码|条码|动态码|扫码值|支付授权码)"
_CODE = _any(
    r"used|invalid|expire|consumed?|refresh",
    r"失效|过期|無效|无效|核销|消费|已使用|被使用|刷新",
    rf"{_PAY_CODE}|(?:auth|pay|payment|bar|qr)~code|获取顾客账户信息失败",
)
# Nobody may be told to pay again after these, whatever else is said.
_PLAINLY_PAID = _any(
    r"(?:has|already|been|order|trade|bill|checkout)~(?:been~|already~)?(?:paid|payed)"
    r"|(?:paid|payed)~already",
    r"(?:has|trade|order|pay|payment|already|transaction)~(?:is~|was~|been~)?success(?!_?code)\w*",
    r"(?:has|trade|order|pay|payment|already|been|transaction)~(?:is~|was~|been~)*"
    r"(?:succeeded|finished|completed|settled|captured|charged)",
    r"已经?被?(?:成功)?(?:支付|付款|扣款|收款|付|结清|结账)|(?:支付|交易|付款|扣款|收款)(?:已经?|已被)?"
    r"(?:成功|完成|完结)",
)
_DONE = _any(
    r"paid|payed|success|succeed|finish|complete|settled|captured|charged",
    r"(?:checkout|order|trade|transaction|bill)~(?:is~|was~|has~been~|already~)?closed?",
    r"已|完结|(?:订单|交易|结账单)关闭",
)
_DUPLICATE = _any(r"duplicat|repeat|exist|resubmi|idempot|重[复複]|多次提交")
_UNDECIDED = _any(
    r"progress|process|paying|pending|busy|system|time~out|timed~out|again|later|wait|unknown"
    r"|unavailable|retry|bank~error|network|traffic|frequen|too~many",
    r"处理中|支付中|付款中|进行中|确认中|受理中|系统|繁忙|超时|稍[后候]|等待|排队|未知|网络|频繁|频率"
    r"|银行.{0,4}异常|输入(?:支付)?密码|请查询",
)

# The call went well: these say nothing of the payment.
_OF_THE_CALL = frozenset({"SUCCESS", "OPERATION_SUCCESS", "OK", "成功", "调用成功", "操作成功"})


def speaks_of(texts: Sequence[str | None], declines: Collection[str] = ()) -> Speaks:
    """What a refusal in these `texts`, codes and words alike, speaks of.

    `declines` are the profile's `decline_codes`: result codes that its platform uses for known
    declines, compared whole. The classes are looked for in this order: known decline, code, done,
    undecided. Plain words of a payment that was made beat all but a known decline's exact code.
    """
    said = [text.strip() for text in texts if text and text.strip().upper() not in _OF_THE_CALL]
    known = _BY_CODE.keys() | {_plain(code) for code in declines}
    if any(_plain(text) in known for text in said):
        return Speaks.DECLINE
    words = " | ".join(said).lower()
    left = re.sub(_DECLINE_WORDS, " ", words)
    rest = re.sub(_HARMLESS, " ", left)
    if re.search(_PLAINLY_PAID, rest):
        return Speaks.DONE
    if left != words and not re.search(_DUPLICATE, re.sub(_MALFORMED, " ", rest)):
        return Speaks.DECLINE
    # "The order does not exist" is no word of something that exists; "the code" is one of the code.
    plain = re.sub(_MALFORMED, " ", rest)
    for kind, pattern in (
        (Speaks.DUPLICATE, _NUMBER_USED),
        (Speaks.CODE, _CODE),
        (Speaks.DONE, _DONE),
        (Speaks.DUPLICATE, _DUPLICATE),
        (Speaks.UNDECIDED, _UNDECIDED),
    ):
        if re.search(pattern, plain):
            return kind
    return Speaks.MALFORMED if plain != rest else Speaks.OTHER

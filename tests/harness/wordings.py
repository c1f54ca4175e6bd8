"""What platforms say when they refuse, from public sources, and the table of what it comes to.

`python tests/harness/wordings.py` writes the table into
docs/outcomes.md; `test_refusal.py` compares it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from tables import with_table

from posctl.gateway.judge import read_event
from posctl.gateway.top import Answer
from posctl.money.outcome import Doubt, Outcome, proves
from posctl.money.refusal import DECLINES

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"
BEGIN, END = "<!-- wordings: begin -->\n", "<!-- wordings: end -->\n"


class Wording(NamedTuple):
    code: str
    words: str
    source: str


_ALIPAY = "alipay.trade.pay, business error codes; most in Bishoptylaor/paypay, busserr.go"
_ALIPAY_COPY = "Bishoptylaor/paypay, alipay/utils/busserr.go"
_BALANCE = "developers.weixin.qq.com, community, 00080cb435c608e9a0f8bd8d755400"
_ALIPAY_EN = "Alibaba open platform, doc 104632, error codes"
_WECHAT = "micropay, error codes; most in deerchao/weixin.next, MicroPay.cs"
_ANTOM = "docs.antom.com, Error codes"
_CONSULT = "docs.antom.com, codeConsult, result codes"
_PAYERMAX = "docs.payermax.com, error code list"
_SCANFORPAY = "scanforpay.com, Errorcode"
_EFTPAY = "vmp.eftpay.com.cn, appendix 3"
_QIN = "blog.csdn.net/Qin066, 103251589"
_COMMUNITY = "developers.weixin.qq.com, community, 000a2aa72cc91866dc40595d966c00"

OTHERS = (
    *(
        Wording(f"ACQ.{code}", words, _ALIPAY)
        for code, words in (
            ("PAYMENT_AUTH_CODE_INVALID", "支付授权码无效"),
            ("TRADE_HAS_SUCCESS", "交易已被支付"),
            ("SYSTEM_ERROR", "接口返回错误"),
            ("CONTEXT_INCONSISTENT", "交易信息被篡改"),
            ("TRADE_BUYER_NOT_MATCH", "交易买家不匹配"),
            ("PULL_MOBILE_CASHIER_FAIL", "唤起移动收银台失败"),
            ("PAYMENT_FAIL", "支付失败"),
            ("INVALID_PARAMETER", "参数无效"),
            ("ACCESS_FORBIDDEN", "无权限使用接口"),
            ("EXIST_FORBIDDEN_WORD", "订单信息中包含违禁词"),
            ("PARTNER_ERROR", "应用APP_ID填写错误"),
            ("INVALID_STORE_ID", "商户门店编号无效"),
            ("SUB_MERCHANT_CREATE_FAIL", "二级商户创建失败"),
            ("SUB_MERCHANT_TYPE_INVALID", "二级商户类型非法"),
            ("AGREEMENT_NOT_EXIST", "用户协议不存在"),
            ("AGREEMENT_INVALID", "用户协议失效"),
        )
    ),
    *(
        Wording(f"ACQ.{code}", words, _ALIPAY_EN)
        for code, words in (
            ("SYSTEM_ERROR", "System error, such as system time out."),
            ("TRADE_HAS_SUCCESS", "The payment is done successfully."),
            ("TRADE_HAS_CLOSE", "The payment transaction exists and is closed."),
            ("TRADE_BUYER_NOT_MATCH", "The payment transaction exists but the buyer is different."),
            ("BUYER_ENABLE_STATUS_FORBID", "The buyer is not allowed to pay."),
        )
    ),
    *(
        Wording(code, words, _WECHAT)
        for code, words in (
            ("SYSTEMERROR", "接口返回错误"),
            ("PARAM_ERROR", "参数错误"),
            ("ORDERPAID", "订单已支付"),
            ("NOAUTH", "商户无权限"),
            ("AUTHCODEEXPIRE", "二维码已过期，请用户在微信上刷新后再试"),
            ("BANKERROR", "银行系统异常"),
            ("USERPAYING", "用户支付中，需要输入密码"),
            ("AUTH_CODE_ERROR", "授权码参数错误"),
            ("AUTH_CODE_INVALID", "授权码检验错误"),
            ("XML_FORMAT_ERROR", "XML格式错误"),
            ("SIGNERROR", "签名错误"),
            ("LACK_PARAMS", "缺少参数"),
            ("NOT_UTF8", "编码格式错误"),
            ("BUYER_MISMATCH", "支付帐号错误"),
            ("APPID_NOT_EXIST", "APPID不存在"),
            ("MCHID_NOT_EXIST", "MCHID不存在"),
            ("OUT_TRADE_NO_USED", "商户订单号重复"),
            ("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配"),
            ("INVALID_REQUEST", "无效请求"),
            ("TRADE_ERROR", "交易错误"),
        )
    ),
    Wording("ACQ.PAYMENT_AUTH_CODE_INVALID", "付款码无效", _ALIPAY_COPY),
    Wording("ACQ.CONTEXT_INCONSISTENT", "订单信息不一致", _ALIPAY_COPY),
    Wording("ACQ.SYSTEM_ERROR", "系统异常", _ALIPAY_COPY),
    Wording("ACQ.TRADE_STATUS_ERROR", "交易状态异常", _ALIPAY_COPY),
    Wording("ACQ.NOT_CERTIFIED_USER", "买家非实名认证用户", _ALIPAY_COPY),
    Wording("ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION", "订单金额超过单笔限额", _ALIPAY_COPY),
    Wording("TRADE_ERROR", "余额不足", _BALANCE),
    Wording("TRADE_HAS_SUCCESS", "交易已经支付", "babyinbook/preview #84"),
    Wording("ACQ.TRADE_FINISHED", "交易完结", "mingqcn/oomall-2022, AlipayReturnNo.java"),
    Wording("", "码已失效，请刷新二维码后重试", "spencerwooo/dowww #48"),
    Wording("", "码已过期，请重新生成", "overtrue/laravel-wechat #253"),
    Wording("40163", "code been used", "binarywang/WxJava #402"),
    Wording("40029", "invalid code", "binarywang/WxJava #1626"),
    Wording("", "授权码验证服务暂时不可用", "WeChatPadPro/WeChatPadPro #181"),
    Wording("1100", "用户支付确认中...", "kancloud.cn, dianfu/pay_doc 591798"),
    Wording(
        "AUTH_CODE_INVALID",
        "101 付款码已过期,请退出重试",
        "developers.weixin.qq.com, community, oCJUsw2aZBKMBKs4CJdiGX6nSF8g",
    ),
    Wording("AUTH_CODE_INVALID", "请扫描微信支付授权码(以10/11/12/13/14/15为前缀的18位数字)", _QIN),
    Wording("TRADE_ERROR", "用户没有输入支付密码", _QIN),
    Wording("USERPAYING", "需要用户输入支付密码", _QIN),
    Wording("", "用户取消支付", _COMMUNITY),
    Wording("", "订单已撤销,请重新下单支付", _COMMUNITY),
    Wording("", "商户订单号重复", _COMMUNITY),
    Wording("BUYER_BALANCE_NOT_ENOUGH", "Insufficient balance for current operation.", _ANTOM),
    Wording("ALIN10023", "An order is being paid by a second payer.", _ANTOM),
    Wording("ALIN43911", "Transaction risks are detected at the user side.", _ANTOM),
    Wording("EXPIRED_CODE", "The code is expired.", _CONSULT),
    Wording("INVALID_CODE", "The code is invalid.", _CONSULT),
    Wording("PROCESS_FAIL", "A general business failure occurred. Don't retry.", _CONSULT),
    Wording("REQUEST_TRAFFIC_EXCEED_LIMIT", "The request traffic exceeds the limit.", _CONSULT),
    Wording("ORDER_CLOSED", "订单关闭", _PAYERMAX),
    Wording("ORDER_REPEAT", "订单重复", _PAYERMAX),
    Wording("BALANCE_INSUFFICIENT", "余额不足", _PAYERMAX),
    Wording("REQUEST_TIMEOUT", "请求超时", _PAYERMAX),
    Wording("AUTH_EXPIRED", "授权过期", _PAYERMAX),
    Wording("PAYMENT_REJECTED", "请求拒绝", _PAYERMAX),
    Wording("BARCODE_REFRESH_FAILED", "Barcode刷新失败", _PAYERMAX),
    Wording("9", "There is an unknown error in the system. Please try again later", _SCANFORPAY),
    Wording("31", "order duplicate creation", _SCANFORPAY),
    Wording("33", "order has been closed", _SCANFORPAY),
    Wording("03", "已存在交易，out_trade_no 必须唯一", _EFTPAY),
)
WORDINGS = (*(Wording(one.code, one.words, one.source) for one in DECLINES), *OTHERS)
SITUATIONS: dict[str, tuple[Doubt | None, bool]] = {
    "first try, own id": (None, True),
    "first try, given id": (None, False),
    "pending before": (Doubt.PENDING, True),
    "unknown before": (Doubt.UNKNOWN, True),
}


def comes_to(wording: Wording) -> list[Outcome]:
    """The outcome of `result_status` 2 in these words, in each situation."""
    model = {"result_status": 2, "result_code": wording.code, "result_message": wording.words}
    event = read_event(Answer(model), 200, None)
    return [proves(event, doubt, own_id=own_id) for doubt, own_id in SITUATIONS.values()]


def table() -> str:
    """The table of docs/outcomes.md."""
    lines = [
        f"| `result_status` 2 with | {' | '.join(SITUATIONS)} | source |",
        f"|---{'|---' * len(SITUATIONS)}|---|",
    ]
    for one in WORDINGS:
        said = " ".join(part for part in (one.code and f"`{one.code}`", one.words) if part)
        cells = " | ".join(outcome.value for outcome in comes_to(one))
        lines.append(f"| {said} | {cells} | {one.source} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """`page` with the table of this state of the code."""
    return with_table(page, BEGIN, table(), END)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
    sys.exit(0)

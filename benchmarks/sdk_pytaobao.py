"""What a user would write with pytaobao, an SDK of others. No journal, no second thoughts."""

import json
import sys
import uuid

import yaml
from pytaobao.apis.base import TaobaoClient

with open(sys.argv[1]) as file:  # noqa: PTH123  as a user would write it
    profile = yaml.safe_load(file)["profiles"]["bench"]
pay_request = dict(profile["defaults"])
pay_request |= {"request_id": str(uuid.uuid4()), "pay_fee": 100, "checkout_id": sys.argv[2]}
client = TaobaoClient(profile["app_key"], profile["secret"], "", endpoint=profile["gateway"])
answer = client.perform_request(
    "alibaba.pos.order.pay",
    {"shop_id": profile["defaults"]["shop_id"], "pay_request": json.dumps(pay_request)},
)
print(json.dumps(answer["alibaba_pos_order_pay_response"]["result"]["model"]))

"""What a user would write with taobaopy, an SDK of others. No journal, no second thoughts."""

import json
import sys
import uuid

import yaml
from taobaopy.taobao import TaoBaoAPIClient

with open(sys.argv[1]) as file:  # noqa: PTH123  as a user would write it
    profile = yaml.safe_load(file)["profiles"]["bench"]
pay_request = dict(profile["defaults"])
pay_request |= {"request_id": str(uuid.uuid4()), "pay_fee": 100, "checkout_id": sys.argv[2]}
client = TaoBaoAPIClient(
    profile["app_key"], profile["secret"], domain=profile["gateway"].removesuffix("/router/rest")
)
answer = client.alibaba__pos_order_pay(
    shop_id=profile["defaults"]["shop_id"], pay_request=json.dumps(pay_request)
)
print(json.dumps(answer["alibaba_pos_order_pay_response"]["result"]["model"]))

"""The yardstick: what a user would write by hand. No journal, no checks, no second thoughts."""

import hashlib
import hmac
import json
import sys
import time
import uuid

import requests
import yaml

with open(sys.argv[1]) as file:  # noqa: PTH123  as a user would write it
    profile = yaml.safe_load(file)["profiles"]["bench"]
pay_request = dict(profile["defaults"])
pay_request |= {"request_id": str(uuid.uuid4()), "pay_fee": 100, "checkout_id": sys.argv[2]}
params = {
    "method": "alibaba.pos.order.pay",
    "app_key": profile["app_key"],
    "timestamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 8 * 3600)),
    "v": "2.0",
    "format": "json",
    "sign_method": "hmac-sha256",
    "shop_id": profile["defaults"]["shop_id"],
    "pay_request": json.dumps(pay_request),
}
text = "".join(name + params[name] for name in sorted(params))
secret = profile["secret"].encode()
params["sign"] = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest().upper()
answer = requests.post(profile["gateway"], data=params, timeout=15).json()
print(json.dumps(answer["alibaba_pos_order_pay_response"]["result"]["model"]))

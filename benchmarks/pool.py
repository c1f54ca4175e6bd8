"""The yardstick for many: a pool of 64 threads with a requests.Session each, and no journal.

python benchmarks/pool.py CONFIG COUNT
"""

import hashlib
import hmac
import json
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import requests
import yaml

with open(sys.argv[1]) as file:  # noqa: PTH123  as a user would write it
    profile = yaml.safe_load(file)["profiles"]["bench"]
secret = profile["secret"].encode()
here = threading.local()


def begin() -> None:
    here.session = requests.Session()


def pay(number: int) -> str:
    pay_request = dict(profile["defaults"])
    pay_request |= {"request_id": str(uuid.uuid4()), "pay_fee": 100, "checkout_id": f"p{number}"}
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
    params["sign"] = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest().upper()
    answer = here.session.post(profile["gateway"], data=params, timeout=15).json()
    return json.dumps(answer["alibaba_pos_order_pay_response"]["result"]["model"])


with ThreadPoolExecutor(64, initializer=begin) as pool:
    for line in pool.map(pay, range(int(sys.argv[2]))):
        print(line)

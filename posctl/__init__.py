"""posctl: take payments through Alibaba's `alibaba.pos.order.pay`, never twice, never lost."""

__version__ = "0.2.0"

"""A stock app of one queue's worker, with pool restarts enabled, which remote control needs."""

import os

from stock_app import stock

app = stock(os.environ["SUPERVISION_STORE_URL"])
app.conf.worker_pool_restarts = True

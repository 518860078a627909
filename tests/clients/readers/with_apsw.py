# apsw: with_apsw.py EXTENSION URI
import sys

import apsw

loader = apsw.Connection(":memory:")
loader.enable_load_extension(True)
loader.load_extension(sys.argv[1])
read = apsw.Connection(sys.argv[2], flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
print(*next(read.execute("SELECT seawall_txid(), count(*), sum(length(payload)) FROM item")), sep="|")

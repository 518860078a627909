# A module with the interface of Python's sqlite3: python.py EXTENSION URI MODULE
import importlib
import sys

module = importlib.import_module(sys.argv[3])
loader = module.connect(":memory:")
loader.enable_load_extension(True)
loader.load_extension(sys.argv[1])
read = module.connect(sys.argv[2], uri=True)
print(*read.execute("SELECT seawall_txid(), count(*), sum(length(payload)) FROM item").fetchone(), sep="|")

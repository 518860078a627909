"""Tests of the recipes in docs/cookbook.md: `make check-clients` runs them after the clients, whose packages they use."""
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "support")]

"""What all tests share: one thread each, so that they do not crowd a small machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

"""Processes that end with the one that started them."""

import os
import threading
import time

OFTEN = 0.5  # seconds


def end_with(parent):
    """End this process soon after its parent has ended, however that was: the workers of a pool would else wait for
    ever for a killed one. Nothing where ``parent`` (a process id) is not the one that started it, as under forkserver.
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(OFTEN)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()

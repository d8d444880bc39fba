"""Processes beside others: one thread for each, and an end with the one that started them."""

import os
import sys
import threading
import time

OFTEN = 0.5  # seconds


def one_thread():
    """For a process that is one of many on its machine. A forked one needs it, too: torch's threads do not live on in
    it, and its work would wait for them for ever.
    """
    import cv2

    cv2.setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def end_with(parent, direct=False):
    """End this process soon after its parent has ended, however that was: the workers of a pool would else wait for
    ever for a killed one. Where ``parent`` (a process id) is not the one that started it, nothing, as under forkserver;
    or, with ``direct``, at once: then it has ended already.
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(OFTEN)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()
    elif direct:
        os._exit(1)

"""A notebook's kernel that ends with the process that runs the notebook.

IPython's kernels watch for that themselves, but not before they have started whole; and one whose process was killed
earlier then waits for ever where orphans are given to another process than the first one, as in a desktop's session.
"""

import os

from jupyter_client import AsyncKernelManager

_LAUNCHER = ["-m", "ipykernel_launcher"]
_START = (
    "import runpy, sys; from handlib import processes; processes.end_with(int(sys.argv.pop(1)), True); "
    f"runpy.run_module({_LAUNCHER[1]!r}, run_name='__main__', alter_sys=True)"
)


class KernelManager(AsyncKernelManager):
    """For nbclient's ``kernel_manager_class``; kernels but IPython's are started as they are."""

    def format_kernel_cmd(self, extra_arguments=None):
        command = super().format_kernel_cmd(extra_arguments)
        for place in range(len(command) - 1):
            if command[place : place + 2] == _LAUNCHER:
                command[place : place + 2] = ["-c", _START, str(os.getpid())]
                break
        return command

"""The controller's end without warning: kills ansible-playbook as the task named in KILLED_BEFORE would begin."""

from __future__ import annotations

import os
import signal
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: killed
type: aggregate
short_description: Kill the run before a task
description: [Kills ansible-playbook as the task named in the environment variable KILLED_BEFORE would begin.]
requirements: []
"""


class CallbackModule(CallbackBase):
    """Nothing has been sent to the hosts for the task, and everything before it is done."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "killed"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002 - Ansible's signature
        """Ansible calls this in its main process, when no worker runs."""
        if task.name == os.environ["KILLED_BEFORE"]:
            os.kill(os.getpid(), signal.SIGKILL)

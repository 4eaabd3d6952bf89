"""What every module of this collection says about check mode and diff."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared `attributes`."""

    DOCUMENTATION = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/atelier.datalab.datalab) in C(module_defaults) to set defaults for this module.
    support: full
    membership: [atelier.datalab.datalab]
  check_mode:
    description: Tells what would change without changing it.
    support: full
  diff_mode:
    description: Returns before and after in diff mode.
    support: full
"""

    READ_ONLY = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/atelier.datalab.datalab) in C(module_defaults) to set defaults for this module.
    support: full
    membership: [atelier.datalab.datalab]
  check_mode:
    description: Reads only; does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: none
"""

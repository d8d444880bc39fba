"""Recording a network's stages: ``keep(name, tensor)`` is handed down, and ``forget`` where nobody asked for them."""


def forget(name, tensor):
    """Record nothing."""


def under(keep, prefix):
    """``keep`` with names below ``prefix``."""
    return keep if keep is forget else lambda name, tensor: keep((prefix + name).rstrip("."), tensor)

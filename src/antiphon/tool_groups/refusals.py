"""What is said of tool groups that there are not."""

from antiphon.config.group_settings import REFUSED
from antiphon.core.errors import InvalidRequest, NotFound, UnsupportedParameter

_LIST = "GET /v1/toolgroups lists those there are"


def check_served(group_id: str, param: str) -> None:
    """Raises UnsupportedParameter for a built-in group of Llama Stack's that is not served, or a tool of it."""
    name = group_id.partition("/")[0]
    if name in REFUSED:
        raise UnsupportedParameter(f"`{param}`: {name} is not served: {REFUSED[name]}.", param=param)


def unknown_group(group_id: str, param: str) -> NotFound:
    """For the routes, where the group is what is asked for."""
    return NotFound(f'`{param}`: there is no tool group "{group_id[:200]}". {_LIST}.', param=param)


def no_such_group(group_id: str, param: str) -> InvalidRequest:
    """For a request that wants to use it."""
    return InvalidRequest(f'`{param}`: there is no tool group "{group_id[:200]}". {_LIST}.', param=param)

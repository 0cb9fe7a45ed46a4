"""A task is a contract, as plain data: what comes in, what goes out, how it is scored and which ladder it has."""

from rungwise.core.tasks.answer import ANSWER
from rungwise.core.tasks.classify import CLASSIFY
from rungwise.core.tasks.search import SEARCH
from rungwise.core.tasks.task import Task

TASKS = {task.name: task for task in (CLASSIFY, ANSWER, SEARCH)}

__all__ = ["ANSWER", "CLASSIFY", "SEARCH", "TASKS", "Task"]

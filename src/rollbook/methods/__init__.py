"""One module an API method, named after it: this folder is the API."""

from collections.abc import Callable

from rollbook.methods.unenroll_learning_modules import unenroll_learning_modules
from rollbook.model import Caller
from rollbook.store.engine import Database
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call

Method = Callable[[Database, Caller, Call], Answer]

METHODS: dict[str, Method] = {
    "unenrollLearningModules": unenroll_learning_modules,
}

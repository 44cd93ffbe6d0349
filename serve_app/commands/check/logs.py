"""The prediction log as a file sets it: a place that is one, and fields that rows have."""

import math
from collections.abc import Iterator

from serve_app.commands.check.document import Fault
from serve_app.commands.check.plan import Plan
from serve_app.errors import PredictionLogError, SettingsError
from serve_app.models import get_spec
from serve_app.monitoring.log.place import LogPlace
from serve_app.settings import LogOptions, log_fault

WEEK_DAYS = 7


def prediction_logs(plan: Plan) -> Iterator[Fault]:
    """A log goes to a known place, leaves out what is there, and is kept where it is set up."""
    for app, args, table in plan.servers:
        if args.log is not None:
            try:
                LogPlace(args.log)
            except PredictionLogError as error:
                yield Fault((*app.place, "args", "log"), str(error).removeprefix("log: "))
        try:
            wrong = log_fault(table.log, get_spec(args.model).contract)
        except SettingsError:
            # Of a model that cannot be read another rule tells.
            continue
        if wrong:
            yield Fault((*app.table_place, "log"), wrong)
        elif args.log is None and table.log != LogOptions():
            text = "no log is kept: args has no `log` (or LOG_PATH names one where it serves)"
            yield Fault((*app.table_place, "log"), text, "warning")
        elif args.log is not None and args.label_delay_days:
            n_least = math.ceil(args.label_delay_days) + WEEK_DAYS
            if table.log.keep_days < n_least:
                text = (
                    f"keep_days: found {table.log.keep_days}, expected {n_least} or more to train "
                    "again: rows are deleted before all labels of a week have come "
                    "(label_delay_days)"
                )
                yield Fault((*app.table_place, "log"), text, "warning")

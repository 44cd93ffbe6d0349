"""The loop of a coordinator: it looks at the rollout twice a second until it is cancelled."""

import asyncio
import logging

from serve_app.rollout.controller import Controller

logger = logging.getLogger(__name__)

LOOK_S = 0.5


async def look_forever(controller: Controller) -> None:
    """Look until cancelled; a fault in one look must not end the rest.

    A look may wait for a store that hangs. What the judge says is in force all the same.
    """
    looking: asyncio.Task[None] | None = None
    try:
        while True:
            try:
                controller.watch()
            except Exception:
                logger.exception("the judge of the rollout failed")
            if looking is None or looking.done():
                looking = asyncio.create_task(_look_safely(controller))
            await asyncio.sleep(LOOK_S)
    finally:
        if looking is not None:
            looking.cancel()
        controller.stop()


async def _look_safely(controller: Controller) -> None:
    try:
        await controller.look()
    except Exception:
        logger.exception("a look at the rollout failed")

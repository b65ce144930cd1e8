"""Keys one after the other: what one does, the focus that it moves included, is done before the next one is looked at.

Textual gives a key to what has the focus when the key arrives. Of several that arrive at once, as over a slow line, the
later ones would go where the first one was typed: a letter meant for the next field would be taken for a command.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.message_pump import MessagePump

Result = TypeVar("Result")

ROUNDS = 2  # a key, and the message that it made its widget send
LONGEST = 10.0  # seconds that a key waits for the one before it; on a busy machine to draw a step anew takes its time


class KeyByKey(App[Result]):
    """`turn` is held while a key is handled. A worker that draws anew what may have the focus takes it, and so loses no
    key; never who handles a key or a message (and draws for it): the key before waits for that one."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = asyncio.Lock()
        self._typed: asyncio.Queue[events.Key | events.Paste] = asyncio.Queue()
        self._handling: asyncio.Task[None] | None = None

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.Paste)) and not self.screen_stack:
            return  # typed onto a wizard that is being left: every screen is gone
        if not isinstance(event, (events.Key, events.Paste)) or event.is_forwarded:
            await super().on_event(event)
            return
        self._typed.put_nowait(event)
        if self._handling is None or self._handling.done():
            self._handling = asyncio.create_task(self._handle())

    async def _handle(self) -> None:
        try:
            while not self._typed.empty():
                async with self.turn:
                    if not self.screen_stack:
                        return
                    target = self.focused or self.screen
                    await super().on_event(self._typed.get_nowait())
                    await self.settled(target)
        except Exception as error:
            self._handle_exception(error)

    async def settled(self, target: DOMNode) -> None:
        """Until what was sent to a widget is handled by it and by all that hold it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                for _ in range(ROUNDS):
                    for node in target.ancestors_with_self:
                        await _has_handled(node)


async def _has_handled(pump: MessagePump) -> None:
    done = asyncio.Event()
    if not pump.call_later(done.set):
        return
    while not done.is_set() and pump.is_running:  # what is taken away meanwhile may never answer
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 0.2)

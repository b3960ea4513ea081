"""Delivers the events of webhooks in a thread of its own, beside the drain of the queue.

A webhook is served by one worker at a time, which claims it in the database, and one event is sent after the other, so
that their order holds.
"""

import asyncio
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex

import structlog

from rollbook.actions.webhook_addresses import Networks
from rollbook.errors import DatabaseUnavailableError
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.operations import webhooks as store
from rollbook.store.operations.webhook_feed import settle
from rollbook.worker.webhook_events import Event, Step, read_steps, write_test
from rollbook.worker.webhook_receiver import Failure, Receiver

# How many receivers are waited for at once, and for how long one webhook may keep its place.
MAX_AT_ONCE = 8
SLICE_SECONDS = 30
SETTLE_SECONDS = 60
# How long a stop waits for the events that are being sent.
STOP_SECONDS = 2
# An older claim is renewed before the next event, because a delivery may take ROLLBOOK_WEBHOOK_SECONDS: 20 at most.
RENEW_SECONDS = 5

log = structlog.get_logger("rollbook.worker")


class Claim:
    """The right to serve a webhook, as long as it is renewed."""

    def __init__(self, database: Database, webhook: store.Webhook, holder: str) -> None:
        self._database = database
        self.number: int = webhook.id
        self._account_id: int = webhook.account_id
        self._holder = holder
        self._renewed = 0.0

    def renew(self) -> bool:
        """Make sure that the claim outlasts a delivery; False when it is lost."""
        now = time.monotonic()
        if now - self._renewed < RENEW_SECONDS:
            return True
        held = self._database.transact(lambda c: store.claim(c, self.number, self._holder, utc_now()))
        self._renewed = now
        return held

    def pass_step(self, step: Step) -> bool:
        """Store that a step is delivered; False when the claim is lost."""
        now = time.monotonic()
        given = (self.number, self._holder, step.place, step.passed, utc_now())
        held = self._database.transact(lambda c: store.note_delivery(c, *given))
        self._renewed = now
        return held

    def fail(self, failure: Failure) -> None:
        """Store that a delivery has failed; after a day of failures, or when the receiver is gone, disable it."""
        sentence, gone = failure
        disabled = self._database.transact(
            lambda c: store.note_failure(c, self.number, self._holder, sentence, gone=gone, now=utc_now())
        )
        about = {"webhook": self.number, "account": self._account_id, "detail": sentence}
        if disabled:
            log.error("webhook disabled", **about)
        else:
            log.warning("webhook failed", **about)

    def note_test(self, failure: Failure | None) -> None:
        """Store how a test has ended."""
        sentence = failure and failure.sentence
        self._database.transact(lambda c: store.note_test(c, self.number, self._holder, sentence, utc_now()))

    def release(self) -> None:
        """Let another worker claim the webhook at once."""
        self._database.transact(lambda c: store.release(c, self.number, self._holder, utc_now()))


def read(database: Database, number: int) -> tuple[store.Webhook | None, list[Step]]:
    """Read a webhook and its next page, which is empty while it is disabled or pauses after a failure."""
    with database.read() as connection:
        webhook = store.read_webhook(connection, number, utc_now())
        return webhook, read_steps(connection, webhook) if webhook and webhook.delivers else []


class Webhooks:
    """Delivers events until stopped; any number of workers may share a database."""

    def __init__(self, database: Database, allowed: Networks, seconds: float, poll_seconds: float) -> None:
        self._database = database
        self._allowed = allowed
        self._seconds = seconds
        self._poll_seconds = poll_seconds
        self._holder = f"{socket.gethostname()} {os.getpid()} {token_hex(4)}"
        self._stopping = threading.Event()
        self._settled: dict[int, float] = {}

    def stop(self) -> None:
        """Let `run` return after the current events; one that takes longer is sent again by the next worker."""
        self._stopping.set()

    def run(self) -> None:
        """Deliver until stopped."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        # One thread waits for the end; a name that is slow to resolve may keep one beyond its delivery.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * MAX_AT_ONCE + 1))
        tasks: dict[int, asyncio.Task[None]] = {}
        polling = asyncio.create_task(self._poll(tasks))
        await asyncio.to_thread(self._stopping.wait)
        polling.cancel()
        if tasks:
            await asyncio.wait(tasks.values(), timeout=STOP_SECONDS)

    async def _poll(self, tasks: dict[int, asyncio.Task[None]]) -> None:
        slots = asyncio.Semaphore(MAX_AT_ONCE)
        while True:
            for number in [number for number, task in tasks.items() if task.done()]:
                del tasks[number]
            for number in await asyncio.to_thread(self._find_ready):
                if number not in tasks:
                    tasks[number] = asyncio.create_task(self._attempt(number, slots))
            await asyncio.sleep(self._poll_seconds)

    def _find_ready(self) -> list[int]:
        try:
            with self._database.read() as connection:
                return store.find_ready(connection, utc_now())
        except DatabaseUnavailableError as error:
            log.warning("database unavailable", detail=error.detail)
        except Exception:
            log.exception("webhook error; continuing")
        return []

    async def _attempt(self, number: int, slots: asyncio.Semaphore) -> None:
        """Serve one webhook; errors are logged and do not stop the others."""
        async with slots:
            try:
                await self._serve(number)
            except DatabaseUnavailableError as error:
                log.warning("database unavailable", detail=error.detail)
            except Exception:
                log.exception("webhook error; continuing", webhook=number)

    async def _serve(self, number: int) -> None:
        webhook, steps = await asyncio.to_thread(read, self._database, number)
        if webhook is None:
            return
        await asyncio.to_thread(self._settle, webhook)
        claim = Claim(self._database, webhook, self._holder)
        if not (steps or webhook.tests) or not await asyncio.to_thread(claim.renew):
            return
        receiver = Receiver(webhook.url, webhook.secret, self._allowed, self._seconds)
        try:
            await self._deliver(claim, receiver)
        finally:
            claim.release()
            await receiver.close()

    async def _deliver(self, claim: Claim, receiver: Receiver) -> None:
        """Deliver page after page, up to a failure, the last event or the end of the slice."""
        end = time.monotonic() + SLICE_SECONDS
        while time.monotonic() < end:
            # The place is read under the claim: another worker may have delivered more.
            webhook, steps = await asyncio.to_thread(read, self._database, claim.number)
            if webhook and webhook.tests:
                await asyncio.to_thread(claim.note_test, await receiver.send(write_test(webhook)))
            for step in steps:
                if self._stopping.is_set():
                    return
                for event in step.events:
                    if not await self._send(claim, receiver, event):
                        return
                if not await asyncio.to_thread(claim.pass_step, step):
                    return
            if not steps:
                return

    async def _send(self, claim: Claim, receiver: Receiver, event: Event) -> bool:
        if not await asyncio.to_thread(claim.renew):
            return False
        failure = await receiver.send(event)
        if failure:
            await asyncio.to_thread(claim.fail, failure)
        return not failure

    def _settle(self, webhook: store.Webhook) -> None:
        if time.monotonic() - self._settled.get(webhook.id, float("-inf")) > SETTLE_SECONDS:
            self._database.transact(lambda connection: settle(connection, webhook, utc_now()))
            self._settled[webhook.id] = time.monotonic()

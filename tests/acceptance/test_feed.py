"""A poller of the feed sees every change exactly once while workers and administrators make changes."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from lxml import etree

from campus import Campus
from conftest import Served
from rollbook.model import utc_now
from rollbook.store.queue.process import process_due

IDENTIFIER = "AccountUserLearningModuleRelID"


class Poller:
    """Follows the feed of an account from the beginning, a small page at a time."""

    def __init__(self, served: Served, campus: Campus) -> None:
        self._served = served
        self._campus = campus
        self._after = ""
        self.seen: list[tuple[int, str]] = []

    def poll(self) -> int:
        since = "<Filters><FinishedDateFrom>2020-01-01</FinishedDateFrom></Filters>"
        place = f"<After>{self._after}</After>" if self._after else since
        call = self._campus.call("getUnenrollments", f"<Unenrollments><PageSize>13</PageSize>{place}</Unenrollments>")
        listed = etree.fromstring(self._served.server.post(call).content).find("Info/Unenrollments")
        assert listed is not None
        self._after = listed.get("after", "")
        self.seen += [(int(item.findtext(IDENTIFIER) or 0), item.findtext("Status") or "") for item in listed]
        return len(listed)

    def follow(self, working: threading.Event) -> None:
        """Poll while changes are made, then to the end of the feed."""
        while working.is_set():
            self.poll()
        while self.poll():
            pass


def test_feed_reports_every_change_once_under_concurrent_work(served: Served, campus: Campus) -> None:
    ids = campus.enroll(600)
    for start in range(0, len(ids), 100):
        campus.accept(ids[start : start + 100])
    poller = Poller(served, campus)
    working = threading.Event()
    working.set()

    def drain() -> None:
        while "Pending" in campus.queue().values():
            process_due(served.database, campus.account.id, utc_now(), 7)

    def change(method: str, chosen: list[int]) -> None:
        items = "".join(f"<Unenrollment><{IDENTIFIER}>{id_}</{IDENTIFIER}></Unenrollment>" for id_ in chosen)
        served.server.post(campus.call(method, f"<Unenrollments>{items}</Unenrollments>"))

    def administer() -> None:
        for start in range(0, len(ids), 60):
            change("removeUnenrollments", ids[start + 30 : start + 40])
            change("restoreUnenrollments", ids[start : start + 10])

    with ThreadPoolExecutor(4) as pool:
        following = pool.submit(poller.follow, working)
        for work in [pool.submit(drain), pool.submit(drain), pool.submit(administer)]:
            work.result()
        working.clear()
        following.result()
    assert [change for change, times in Counter(poller.seen).items() if times > 1] == []
    assert dict(poller.seen) == campus.queue()
    assert len({status for _, status in poller.seen}) > 1

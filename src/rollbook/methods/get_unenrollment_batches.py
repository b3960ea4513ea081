"""getUnenrollmentBatches: who requested which batch, when and why, and its outcome (D20)."""

from rollbook import store
from rollbook.errors import WireCode
from rollbook.methods.get_unenrollment_queue import COUNTS
from rollbook.methods.method import ADMINISTRATORS, Method, MethodCall, MethodResult
from rollbook.model import utc_now
from rollbook.wire.answer import BLOCK
from rollbook.wire.identifiers import IDENTIFIER, NUMBER, REFERENCE
from rollbook.wire.messages import ANY_NUMBER, Element, info, optional, parameters, record
from rollbook.wire.paging import MAX_SIZE, PAGING, Pagination
from rollbook.wire.values import COUNT, TIME

FORBIDDEN = WireCode("GUB:01", "The required permissions are not met to call the getUnenrollmentBatches method.")

TAKES = parameters(record("UnenrollmentBatches", optional("BatchID", "batch_id", REFERENCE, help="one batch"), *PAGING))
REFUSAL = record(
    "Refusal",
    Element(IDENTIFIER, "identifier", help="as it was sent"),
    Element("ErrorID", "code"),
    field="refusals",
    least=0,
    most=ANY_NUMBER,
    attributes=(BLOCK,),
    help="only if the call names a `BatchID`",
)
BATCH = record(
    "UnenrollmentBatch",
    Element("BatchID", "id", NUMBER),
    Element("RequestedDate", "requested_at", TIME),
    Element("RequestedBy", "requested_by_email", help="empty for an import's batch"),
    Element("Reason", "reason"),
    Element("IdempotencyKey", "idempotency_key"),
    Element("UndoUntilDate", "undo_until", TIME, help="until then every complete item can be undone; empty: no limit"),
    *COUNTS,
    Element("Refused", "refused", COUNT, help="items that the call refused"),
    REFUSAL,
    field="batches",
    least=0,
    most=MAX_SIZE,
)
ROWS = Element("rows", "rows", COUNT, help="the number of rows in this answer")
GIVES = info(record("UnenrollmentBatches", BATCH, attributes=(ROWS,)))


def get_batches(call: MethodCall) -> MethodResult:
    """Return batches, the latest first; a batch requested by its number with its refusals."""
    account_id, batch_id, page = call.caller.account_id, call.values.get("batch_id"), Pagination.of(call.values)
    rows = store.history.find_batches(call.connection, account_id, batch_id, page.size, page.offset)
    refusals = [] if batch_id is None else store.history.find_refusals(call.connection, account_id, batch_id)
    refused = {"refusals": [refusal._mapping for refusal in refusals]}
    retention = store.retention.read_retention(call.connection, account_id)
    now = utc_now()
    first = [row.first_ended_at or (now if row.pending else None) for row in rows]
    ends = [retention.until(moment) if moment else None for moment in first]
    batches = [{**row._mapping, **refused, "undo_until": end} for row, end in zip(rows, ends, strict=True)]
    return MethodResult({"rows": len(rows), "batches": batches})


GET_UNENROLLMENT_BATCHES = Method(
    "getUnenrollmentBatches",
    help="Gives who requested which batch, when and why, and its outcome.",
    takes=TAKES,
    gives=GIVES,
    codes=(FORBIDDEN,),
    forbidden=FORBIDDEN,
    allowed=ADMINISTRATORS,
    changes=False,
    run=get_batches,
)

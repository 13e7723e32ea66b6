//! HTTP for clients and operators.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200 if caught up and voting, else 503 with the reason |
//! | `GET /status` | [`Status`] |
//! | `GET /metrics` | for Prometheus |
//! | `GET /blocks/{slot}` | the delivered block of the slot |
//! | `POST /transactions?valid_until=SLOT` | takes the body as a transaction, gives its id |
//! | `GET /transactions/{id}` | pending, finalized at a slot, or expired |
//! | `GET /backup` | a backup; for clients on this machine only |
//!
//! Nothing here decides anything: questions are answered from the [`View`] and the store, and a
//! transaction goes the way of every other one. The transport is `http`.

pub mod limit;

use super::http::Client;
use super::metrics::{Metrics, Submission};
use super::runtime::{self, Remote, program};
use super::store::{Snapshot, Store, StoreError};
use super::view::{NotTaken, Status, View};
use crate::protocol::block::{Block, Transaction, TransactionId};
use crate::protocol::bounded::BoundedBytes;
use crate::protocol::ledger;
use crate::protocol::params::MAX_TRANSACTION_BYTES;
use crate::protocol::types::{Hash, Slot};
use crate::protocol::{Query as StoreQuery, Stored};
use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use limit::Limiter;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of a payload at most: what a transaction may have, less its header.
pub const MAX_PAYLOAD_BYTES: usize = MAX_TRANSACTION_BYTES - 10;

/// What the handlers share.
pub struct Rpc {
    /// The node's view of itself.
    pub view: Arc<Mutex<View>>,
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// The node.
    pub remote: Remote,
    /// Who may submit.
    pub limiter: Mutex<Limiter>,
}

/// Locks what other handlers may have held when they panicked; the process is ending then.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A block as `/blocks/{slot}` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockView {
    /// The slot.
    pub slot: u64,
    /// Its hash.
    pub hash: String,
    /// The slot of its parent.
    pub parent_slot: u64,
    /// The hash of its parent.
    pub parent_hash: String,
    /// Number of slices.
    pub slices: usize,
    /// The transactions in it, in order. One that an earlier block held is not executed again.
    pub transactions: Vec<TransactionView>,
}

/// A transaction in a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its id.
    pub id: String,
    /// The last slot that may hold it.
    pub valid_until: u64,
    /// The bytes, in hexadecimal.
    pub payload: String,
}

impl BlockView {
    /// Shows a block.
    pub fn new(block: &Block) -> BlockView {
        let transaction = |(id, transaction): &(TransactionId, Transaction)| TransactionView {
            id: hex::encode(id.0),
            valid_until: transaction.valid_until.0,
            payload: hex::encode(&*transaction.payload),
        };
        BlockView {
            slot: block.id().slot.0,
            hash: hex::encode(block.id().hash.0),
            parent_slot: block.parent().slot.0,
            parent_hash: hex::encode(block.parent().hash.0),
            slices: block.slices().len(),
            transactions: block.transactions().iter().map(transaction).collect(),
        }
    }
}

/// All routes.
pub fn router(rpc: Arc<Rpc>) -> Router {
    let body = DefaultBodyLimit::max(MAX_PAYLOAD_BYTES);
    Router::new()
        .route("/health", get(health))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/blocks/{slot}", get(block))
        .route("/transactions", post(submit).layer(body))
        .route("/transactions/{id}", get(transaction))
        .route("/backup", get(backup))
        .fallback(nothing)
        .with_state(rpc)
}

async fn nothing() -> Response {
    let there = "/health, /status, /metrics, /blocks/{slot}, /transactions, /transactions/{id}";
    error(StatusCode::NOT_FOUND, format_args!("there is nothing here; there are {there}"))
}

fn error(code: StatusCode, reason: impl ToString) -> Response {
    (code, Json(json!({ "error": reason.to_string() }))).into_response()
}

impl Rpc {
    fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    fn status(&self) -> Status {
        self.view().status(runtime::monotonic())
    }
}

async fn health(State(rpc): State<Arc<Rpc>>) -> Response {
    match rpc.view().not_ready(runtime::monotonic()) {
        None => (StatusCode::OK, Json(json!({ "ready": true }))).into_response(),
        Some(reason) => {
            let answer = Json(json!({ "ready": false, "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, answer).into_response()
        }
    }
}

async fn status(State(rpc): State<Arc<Rpc>>) -> Json<Status> {
    Json(rpc.status())
}

async fn metrics(State(rpc): State<Arc<Rpc>>) -> Response {
    let status = rpc.status();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, rpc.metrics.text(&status)).into_response()
}

/// The delivered block of a slot.
fn load(store: &Store, slot: Slot) -> Result<Option<Arc<Block>>, StoreError> {
    let Some(id) = store.ledger(slot)?.next().transpose()?.filter(|id| id.slot == slot) else {
        return Ok(None);
    };
    match store.load(StoreQuery::Block(id))? {
        Stored::Block(block) => Ok(block),
        Stored::Proofs(_) => Ok(None),
    }
}

async fn block(State(rpc): State<Arc<Rpc>>, Path(slot): Path<u64>) -> Response {
    let tip = rpc.view().tip();
    if slot > tip.0 {
        let reason = format!("slot {slot} is above the height of this node, {tip}");
        return error(StatusCode::NOT_FOUND, reason);
    }
    match rpc.remote.read(move |store| load(store, Slot(slot))).await {
        None => error(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"),
        Some(Err(failure)) => error(StatusCode::INTERNAL_SERVER_ERROR, failure),
        Some(Ok(None)) => error(StatusCode::NOT_FOUND, format!("slot {slot} was skipped")),
        Some(Ok(Some(block))) => Json(BlockView::new(&block)).into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    valid_until: Option<u64>,
}

fn answer(id: &TransactionId, status: Option<ledger::Status>) -> serde_json::Value {
    let id = hex::encode(id.0);
    match status {
        Some(ledger::Status::Pending) => json!({ "id": id, "status": "pending" }),
        Some(ledger::Status::Finalized(slot)) => {
            json!({ "id": id, "status": "finalized", "slot": slot.0 })
        }
        Some(ledger::Status::Expired) => json!({ "id": id, "status": "expired" }),
        None => json!({ "id": id, "status": "unknown" }),
    }
}

async fn submit(
    State(rpc): State<Arc<Rpc>>,
    ConnectInfo(Client(client)): ConnectInfo<Client>,
    Query(lifetime): Query<Lifetime>,
    body: Bytes,
) -> Response {
    if !lock(&rpc.limiter).allow(runtime::monotonic(), client.ip()) {
        rpc.metrics.submitted(Submission::Limited);
        return error(StatusCode::TOO_MANY_REQUESTS, "too many transactions a second");
    }
    let Ok(payload) = BoundedBytes::new(body) else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MAX_PAYLOAD_BYTES} bytes"));
    };
    let (transaction, taken, status) = {
        let mut view = rpc.view();
        let valid_until = lifetime.valid_until.map_or(view.latest_valid_until(), Slot);
        let transaction = Transaction { valid_until, payload };
        let known = view.book().status(&transaction.id());
        let taken = if known.is_some() { Ok(()) } else { view.submit(&transaction) };
        (transaction, taken, known)
    };
    let submission = match taken {
        Ok(()) => Submission::Accepted,
        Err(NotTaken::Lifetime { .. }) => Submission::Lifetime,
        Err(NotTaken::Full) => Submission::Full,
    };
    rpc.metrics.submitted(submission);
    match taken {
        Err(reason @ NotTaken::Lifetime { .. }) => return error(StatusCode::BAD_REQUEST, reason),
        Err(reason @ NotTaken::Full) => return error(StatusCode::SERVICE_UNAVAILABLE, reason),
        Ok(()) => {}
    }
    let (id, valid_until) = (transaction.id(), transaction.valid_until);
    if status.is_none() && !rpc.remote.submit(transaction).await {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping");
    }
    let mut answer = answer(&id, Some(status.unwrap_or(ledger::Status::Pending)));
    answer["valid_until"] = json!(valid_until.0);
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

async fn transaction(State(rpc): State<Arc<Rpc>>, Path(id): Path<String>) -> Response {
    let mut bytes = [0; 32];
    if hex::decode_to_slice(&id, &mut bytes).is_err() {
        return error(StatusCode::BAD_REQUEST, "an id is 64 hexadecimal digits");
    }
    let id = Hash(bytes);
    let status = rpc.view().book().status(&id);
    let code = if status.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    (code, Json(answer(&id, status))).into_response()
}

async fn backup(
    State(rpc): State<Arc<Rpc>>,
    ConnectInfo(Client(client)): ConnectInfo<Client>,
) -> Response {
    if !client.ip().to_canonical().is_loopback() {
        return error(StatusCode::FORBIDDEN, "backups are given to clients on this machine only");
    }
    let snapshot: Snapshot = match rpc.remote.read(|store| store.snapshot(false)).await {
        None => return error(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"),
        Some(Err(failure)) => return error(StatusCode::INTERNAL_SERVER_ERROR, failure),
        Some(Ok(snapshot)) => snapshot,
    };
    let stream = program::stream(move |out| snapshot.write(out));
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    (kind, Body::from_stream(stream)).into_response()
}

//! The seam: the only module that names tokio. Sockets, threads and clocks of production.
//!
//! The driver wants a world as a value; this is the real one. Messages come from a UDP socket
//! (`socket`) through a bounded queue per peer: what a peer says faster than the node listens is
//! dropped. The database has a thread of its own (`database`), because a commit blocks on the disk;
//! signature checks have several (`workers`). Their answers come first and are never dropped; they wait for
//! room. Clients' transactions have a queue of their own.
//!
//! [`program`] adds what a whole process needs: a runtime to block on, signals, pauses.
//!
//! In simulation nothing here runs: the simulated world is another value of the same trait, so
//! the driver, the protocol and the store are the same code in both.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one module that may touch the real clock and real threads"
)]

mod database;
#[cfg(feature = "program")]
pub mod program;
mod socket;
mod workers;

use super::driver::{Arrival, Driver, Env};
use super::keys::Keys;
use super::net::counters::{Counter, Counters};
use super::net::{Datagram, Link, Refused};
use super::store::{Store, StoreError};
use super::verify::Job as Check;
use crate::crypto::KeyError;
use crate::protocol::block::{Block, Transaction, TransactionId};
use crate::protocol::committee::Committee;
use crate::protocol::event::Event;
use crate::protocol::machine::Config;
use crate::protocol::types::{NodeId, Time};
use crate::protocol::{Protocol, Query, Record, Restored};
use database::Job;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Transactions of clients that wait for the node at most; then clients wait.
const INBOX: usize = 1_024;
/// Answers of the own threads that wait for the node at most; then the threads wait.
const ANSWERS: usize = 256;
/// Arrivals of each kind handled in one go.
const BATCH: usize = 256;

/// Gets every block of the chain in order, with the transactions that are executed.
pub type Executor = Box<dyn FnMut(&Block, &[TransactionId]) + Send>;

/// Hears how long each commit took, on the thread of the database.
pub type OnCommit = Box<dyn FnMut(Duration) + Send>;

/// What a node is started with.
pub struct Setup {
    /// The validator set.
    pub committee: Arc<Committee>,
    /// The own index.
    pub me: NodeId,
    /// The own secrets.
    pub keys: Keys,
    /// A bound socket.
    pub socket: std::net::UdpSocket,
    /// Where each member of the committee listens, by index.
    pub peers: Vec<SocketAddr>,
    /// The opened database.
    pub store: Store,
    /// What it held.
    pub restored: Restored,
    /// Counts what the host does and drops; also readable from elsewhere.
    pub counters: Arc<Counters>,
    /// Hears every observation of the node.
    pub observer: Box<dyn FnMut(&Event) + Send>,
    /// Hears how long each commit took.
    pub committed: OnCommit,
    /// Gets every block of the chain in order, with the transactions that are executed.
    pub deliver: Executor,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket cannot be used.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The database cannot be used.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// A datagram key of the genesis file cannot be used.
    #[error("datagram key: {0}")]
    Key(#[from] KeyError),
}

/// A running node.
pub struct Handle {
    remote: Remote,
    driver: JoinHandle<()>,
    receiver: JoinHandle<()>,
    store: std::thread::JoinHandle<()>,
}

/// Talks to a running node from elsewhere in the process.
#[derive(Clone)]
pub struct Remote {
    inbox: mpsc::Sender<Arrival>,
    jobs: std::sync::mpsc::Sender<Job>,
}

impl Remote {
    /// True once the node has stopped.
    pub fn has_stopped(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Hands a client's transaction to the node. False if it has stopped.
    pub async fn submit(&self, transaction: Transaction) -> bool {
        self.inbox.send(Arrival::Submit(transaction)).await.is_ok()
    }

    /// Lets the thread of the database run `read` between two commits, so it must be short. `None`
    /// if the node has stopped.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        let job = Job::Read(Box::new(move |store| drop(sender.send(read(store)))));
        self.jobs.send(job).ok()?;
        answer.await.ok()
    }
}

impl Handle {
    /// For whoever submits and reads.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Hands a client's transaction to the node. False if it has stopped.
    pub async fn submit(&self, transaction: Transaction) -> bool {
        self.remote.submit(transaction).await
    }

    /// Stops the node and waits until its database is closed.
    pub async fn stop(self) {
        self.receiver.abort();
        // A full inbox empties, because the driver is alive until it reads this.
        let _ = self.remote.inbox.send(Arrival::Stop).await;
        let _ = self.driver.await;
        let store = self.store;
        let _ = self.remote.jobs.send(Job::Close);
        let _ = tokio::task::spawn_blocking(move || store.join()).await;
    }
}

/// The real world around one node.
struct RealEnv {
    sender: socket::Sender,
    datagrams: Arc<socket::Queue>,
    answers: mpsc::Receiver<Arrival>,
    inbox: mpsc::Receiver<Arrival>,
    jobs: std::sync::mpsc::Sender<Job>,
    checks: std::sync::mpsc::Sender<Check>,
    counters: Arc<Counters>,
    /// Time 0 of the node's clock.
    origin: Instant,
    now: Time,
    observer: Box<dyn FnMut(&Event) + Send>,
    deliver: Executor,
}

/// Time since 1970 by the machine's clock, which may be wrong and may jump.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since the first call in this process: the one clock of all its nodes' metrics.
pub fn monotonic() -> Time {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    since(*ORIGIN.get_or_init(Instant::now))
}

/// Time on a clock that began at `origin`.
fn since(origin: Instant) -> Time {
    Time(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

impl RealEnv {
    fn read_clock(&mut self) {
        self.now = self.now.max(since(self.origin));
    }

    /// Takes what has arrived, the own threads' answers first. Loses nothing when it is cancelled.
    fn poll(&mut self, cx: &mut Context<'_>, arrivals: &mut Vec<Arrival>) -> Poll<()> {
        self.sender.flush(cx);
        for queue in [&mut self.answers, &mut self.inbox] {
            if queue.poll_recv_many(cx, arrivals, BATCH) == Poll::Ready(0) {
                arrivals.push(Arrival::Stop);
            }
        }
        self.datagrams.take(cx, arrivals, BATCH);
        if arrivals.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Env for RealEnv {
    fn now(&self) -> Time {
        self.now
    }

    async fn next(&mut self, deadline: Option<Time>, arrivals: &mut Vec<Arrival>) {
        let at = deadline.map(|at| self.origin + Duration::from_nanos(at.0));
        let arrived = std::future::poll_fn(|cx| self.poll(cx, arrivals));
        match at {
            Some(at) => drop(tokio::time::timeout_at(at, arrived).await),
            None => arrived.await,
        }
        self.read_clock();
        self.counters.set(Counter::InboxDepth, self.datagrams.len());
    }

    fn send(&mut self, to: NodeId, datagram: Datagram, _label: u64) {
        self.sender.send(to, datagram);
    }

    fn check_threads(&self) -> usize {
        workers::threads()
    }

    fn check(&mut self, job: Check) {
        // If the threads are gone, what waits for them is never heard, which is the safe side.
        let _ = self.checks.send(job);
    }

    fn waiting(&mut self, checks: usize) {
        self.counters.set(Counter::CheckDepth, checks);
    }

    fn commit(&mut self, records: Vec<Record>) {
        // If the thread is gone, the node never hears of the commit and never says what waits
        // for it, which is the safe side.
        let _ = self.jobs.send(Job::Commit(records));
    }

    fn load(&mut self, query: Query) {
        let _ = self.jobs.send(Job::Load(query));
    }

    fn deliver(&mut self, block: Arc<Block>, transactions: Arc<[TransactionId]>) {
        (self.deliver)(&block, &transactions);
    }

    fn observe(&mut self, event: Event) {
        (self.observer)(&event);
    }

    fn refused(&mut self, reason: Refused) {
        self.counters.count(reason);
    }
}

/// Starts a node on the current tokio runtime.
pub async fn start(setup: Setup) -> Result<Handle, StartError> {
    let Setup { committee, me, keys, socket, peers, mut store, restored, .. } = setup;
    let Setup { counters, observer, committed, deliver, .. } = setup;
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let wall = unix_time();
    // Durable before the first datagram: a counter is never used twice (1.2).
    let boot = store.next_boot(wall.as_secs())?;
    let mut link = Link::new(&committee, me, keys.datagram(), boot)?;
    let (submit, inbox) = mpsc::channel(INBOX);
    let (node, answers) = mpsc::channel(ANSWERS);
    let checks = workers::start(me, &committee, &node, &counters)?;
    let (jobs, work) = std::sync::mpsc::channel();
    let counting = counters.clone();
    let remote = Remote { inbox: submit, jobs: jobs.clone() };
    let store = std::thread::Builder::new()
        .name(format!("store-{me}"))
        .spawn(move || database::serve(me, store, work, &node, &counting, committed))?;
    let datagrams = Arc::new(socket::Queue::new(committee.len()));
    let origin = Instant::now();
    let receiver = socket::Receiver::new(
        me,
        socket.clone(),
        &committee,
        link.detach_opener(),
        datagrams.clone(),
        counters.clone(),
        origin,
    )?;
    let mut env = RealEnv {
        sender: socket::Sender::new(socket, peers, counters.clone()),
        datagrams,
        answers,
        inbox,
        jobs,
        checks,
        counters,
        origin,
        now: Time(0),
        observer,
        deliver,
    };
    env.read_clock();
    let until_start = Duration::from_nanos(committee.start_unix_ns()).saturating_sub(wall);
    let config =
        Config { committee: committee.clone(), me, restored, start: env.now + until_start, boot };
    let mut first = Vec::new();
    let protocol = Protocol::new(config, env.now, &mut first);
    let receiver = tokio::spawn(receiver.run());
    let driver = Driver::new(env, protocol, me, committee, keys, link, first);
    let driver = tokio::spawn(driver.run());
    Ok(Handle { remote, driver, receiver, store })
}

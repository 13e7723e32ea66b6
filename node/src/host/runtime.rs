//! The seam: the only module that names tokio. Sockets, threads and clocks of production.
//!
//! The driver wants a world as a value; this is the real one. Datagrams come from a UDP socket
//! through a bounded queue: when the node is slower than the network, the newest are dropped, as
//! a full socket would. The database has a thread of its own, because a commit blocks on the disk.
//! Answers of the store are never dropped; they wait for room in the queue.
//!
//! [`program`] adds what a whole process needs: a runtime to block on, signals, pauses.
//!
//! In simulation nothing here runs: the simulated world is another value of the same trait, so
//! the driver, the protocol and the store are the same code in both.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one module that may touch the real clock and real threads"
)]

#[cfg(feature = "program")]
pub mod program;

use super::driver::{Arrival, Driver, Env};
use super::keys::Keys;
use super::net::{Datagram, Link, Refused};
use super::store::{Store, StoreError};
use crate::crypto::KeyError;
use crate::protocol::block::{Block, Transaction, TransactionId};
use crate::protocol::committee::Committee;
use crate::protocol::event::Event;
use crate::protocol::machine::Config;
use crate::protocol::params::MAX_DATAGRAM_BYTES;
use crate::protocol::types::{NodeId, Time};
use crate::protocol::{Protocol, Query, Record, Restored};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Datagrams and answers that wait for the node at most.
const INBOX: usize = 16_384;
/// Arrivals handled in one go.
const BATCH: usize = 256;

/// Gets every block of the chain in order, with the transactions that are executed.
pub type Executor = Box<dyn FnMut(&Block, &[TransactionId]) + Send>;

/// What the host notices by itself, beside the events of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A datagram was dropped before anybody could be blamed for it.
    Refused(Refused),
    /// A datagram found the inbox full.
    Overflow,
    /// So many arrivals were taken from the inbox at once.
    Arrivals(usize),
    /// A commit ended, well or not, after this time.
    Committed(Duration, bool),
}

/// Hears every notice, on whatever thread it comes up.
pub type Watch = Arc<dyn Fn(Notice) + Send + Sync>;

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
    /// Hears every observation of the node.
    pub observer: Box<dyn FnMut(&Event) + Send>,
    /// Hears what the host notices by itself.
    pub watch: Watch,
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

enum Job {
    Commit(Vec<Record>),
    Load(Query),
    Read(Box<dyn FnOnce(&mut Store) + Send>),
    Close,
}

/// The real world around one node.
struct RealEnv {
    socket: Arc<UdpSocket>,
    peers: Vec<SocketAddr>,
    inbox: mpsc::Receiver<Arrival>,
    jobs: std::sync::mpsc::Sender<Job>,
    /// Time 0 of the node's clock.
    origin: Instant,
    now: Time,
    buffer: Vec<u8>,
    observer: Box<dyn FnMut(&Event) + Send>,
    watch: Watch,
    deliver: Executor,
}

/// Time since 1970 by the machine's clock, which may be wrong and may jump.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since the first call in this process: the one clock of all its nodes' metrics.
pub fn monotonic() -> Time {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let elapsed = ORIGIN.get_or_init(std::time::Instant::now).elapsed().as_nanos();
    Time(u64::try_from(elapsed).unwrap_or(u64::MAX))
}

impl RealEnv {
    fn read_clock(&mut self) {
        let elapsed = self.origin.elapsed().as_nanos();
        self.now = self.now.max(Time(u64::try_from(elapsed).unwrap_or(u64::MAX)));
    }
}

impl Env for RealEnv {
    fn now(&self) -> Time {
        self.now
    }

    async fn next(&mut self, deadline: Option<Time>, arrivals: &mut Vec<Arrival>) {
        // `recv_many` loses nothing when it is cancelled.
        let received = self.inbox.recv_many(arrivals, BATCH);
        let closed = match deadline {
            Some(at) => {
                let at = self.origin + Duration::from_nanos(at.0);
                tokio::time::timeout_at(at, received).await == Ok(0)
            }
            None => received.await == 0,
        };
        (self.watch)(Notice::Arrivals(arrivals.len() + self.inbox.len()));
        if closed {
            arrivals.push(Arrival::Stop);
        }
        self.read_clock();
    }

    fn send(&mut self, to: NodeId, datagram: Datagram, _label: u64) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&datagram.header);
        self.buffer.extend_from_slice(&datagram.body);
        // A datagram that does not fit the socket's buffer is lost, like one on the wire.
        let _ = self.socket.try_send_to(&self.buffer, self.peers[to.index()]);
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
        (self.watch)(Notice::Refused(reason));
    }
}

/// Reads the socket until the node is gone.
async fn receive(socket: Arc<UdpSocket>, inbox: mpsc::Sender<Arrival>, watch: Watch) {
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES + 1];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        let datagram = match Datagram::from_bytes(bytes) {
            Ok(datagram) => datagram,
            Err(reason) => {
                watch(Notice::Refused(reason));
                continue;
            }
        };
        match inbox.try_send(Arrival::Datagram(datagram)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => watch(Notice::Overflow),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

/// Works for the store until the node is gone.
fn serve_store(
    mut store: Store,
    jobs: &std::sync::mpsc::Receiver<Job>,
    inbox: &mpsc::Sender<Arrival>,
    watch: &Watch,
) {
    while let Ok(job) = jobs.recv() {
        let answer = match job {
            Job::Commit(records) => {
                let begun = monotonic();
                let result = store.commit(&records);
                watch(Notice::Committed(monotonic().since(begun), result.is_ok()));
                if let Err(error) = &result {
                    tracing::error!(%error, "the database failed; this node stops voting");
                }
                Arrival::Committed(result)
            }
            Job::Load(query) => match store.load(query) {
                Ok(stored) => Arrival::Loaded(query, stored),
                Err(error) => {
                    tracing::warn!(%error, "the database could not read");
                    Arrival::Loaded(query, query.nothing())
                }
            },
            Job::Read(read) => {
                read(&mut store);
                continue;
            }
            Job::Close => return,
        };
        if inbox.blocking_send(answer).is_err() {
            return;
        }
    }
}

/// Starts a node on the current tokio runtime.
pub async fn start(setup: Setup) -> Result<Handle, StartError> {
    let Setup { committee, me, keys, socket, peers, mut store, .. } = setup;
    let Setup { restored, observer, watch, deliver, .. } = setup;
    socket.set_nonblocking(true)?;
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let wall = unix_time();
    // Durable before the first datagram: a counter is never used twice (1.2).
    let boot = store.next_boot(wall.as_secs())?;
    let (sender, inbox) = mpsc::channel(INBOX);
    let (jobs, work) = std::sync::mpsc::channel();
    let remote = Remote { inbox: sender.clone(), jobs: jobs.clone() };
    let (answers, watching) = (sender.clone(), watch.clone());
    let store = std::thread::Builder::new()
        .name(format!("store-{me}"))
        .spawn(move || serve_store(store, &work, &answers, &watching))?;
    let mut env = RealEnv {
        socket: socket.clone(),
        peers,
        inbox,
        jobs,
        origin: Instant::now(),
        now: Time(0),
        buffer: Vec::with_capacity(MAX_DATAGRAM_BYTES),
        observer,
        watch: watch.clone(),
        deliver,
    };
    env.read_clock();
    let until_start = Duration::from_nanos(committee.start_unix_ns()).saturating_sub(wall);
    let config =
        Config { committee: committee.clone(), me, restored, start: env.now + until_start, boot };
    let mut first = Vec::new();
    let protocol = Protocol::new(config, env.now, &mut first);
    let link = Link::new(&committee, me, keys.datagram(), boot)?;
    let receiver = tokio::spawn(receive(socket, sender, watch));
    let driver = Driver::new(env, protocol, me, committee, keys, link, first);
    let driver = tokio::spawn(driver.run());
    Ok(Handle { remote, driver, receiver, store })
}

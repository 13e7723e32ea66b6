//! The socket: many datagrams per system call in, and a short queue out.
//!
//! A flood must cost as little as possible and must not fill what others need. So the task that
//! reads the socket authenticates at once, in the buffer that the kernel filled; only what is from
//! a validator, new and within its limits is copied, into its sender's own queue.
//!
//! Outwards, a leader's slice is 64 datagrams at once, more than some sockets hold. What does not
//! fit waits in a bounded queue until the socket is writable.

use super::super::net::counters::{Counter, Counters};
use super::super::net::inbox::Inbox;
use super::super::net::limits::{Class, Limits};
use super::super::net::{Datagram, HEADER_BYTES, Opener};
use super::{Arrival, since};
use crate::protocol::committee::Committee;
use crate::protocol::params::MAX_DATAGRAM_BYTES;
use crate::protocol::types::NodeId;
use bytes::Bytes;
use quinn_udp::{RecvMeta, UdpSocketState};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Kernel buffers asked for; the system may grant less.
const SOCKET_BUFFER: usize = 8 << 20;
/// Buffers filled by one system call.
const BATCH: usize = 16;
/// Bytes of a buffer: the kernel may put several datagrams of one sender into it.
const BUFFER: usize = 64 << 10;
/// Datagrams that wait for the socket at most.
const OUTBOX: usize = 8_192;

#[derive(Debug)]
struct Waiting {
    inbox: Inbox<Bytes>,
    node: Option<Waker>,
}

/// The inbox between the task that reads the socket and the node.
#[derive(Debug)]
pub(super) struct Queue(Mutex<Waiting>);

impl Queue {
    pub(super) fn new(n: usize) -> Queue {
        Queue(Mutex::new(Waiting { inbox: Inbox::new(n), node: None }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves up to `limit` messages to `arrivals`, or notes whom to wake.
    pub(super) fn take(&self, cx: &Context<'_>, arrivals: &mut Vec<Arrival>, limit: usize) {
        let mut waiting = self.lock();
        let messages = std::iter::from_fn(|| waiting.inbox.pop()).take(limit);
        let before = arrivals.len();
        arrivals.extend(messages.map(|(from, body)| Arrival::Body(from, body)));
        if arrivals.len() == before {
            waiting.node = Some(cx.waker().clone());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().inbox.len()
    }
}

/// Reads the socket.
pub(super) struct Receiver {
    me: NodeId,
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    opener: Opener,
    limits: Limits,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    origin: Instant,
}

impl Receiver {
    pub(super) fn new(
        me: NodeId,
        socket: Arc<UdpSocket>,
        committee: &Committee,
        opener: Opener,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        origin: Instant,
    ) -> io::Result<Receiver> {
        let state = UdpSocketState::new((&*socket).into())?;
        let _ = state.set_recv_buffer_size((&*socket).into(), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size((&*socket).into(), SOCKET_BUFFER);
        let limits = Limits::new(committee.len(), committee.params());
        Ok(Receiver { me, socket, state, opener, limits, queue, counters, origin })
    }

    /// Until it is aborted.
    pub(super) async fn run(mut self) {
        let mut memory = vec![0; BATCH * BUFFER];
        let mut meta = [RecvMeta::default(); BATCH];
        let mut good = Vec::new();
        loop {
            let mut chunks = memory.chunks_mut(BUFFER);
            let mut buffers: [_; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().expect("BATCH of them")));
            let read = || self.state.recv((&*self.socket).into(), &mut buffers, &mut meta);
            // An error is that of an earlier send, or of the moment: there is nothing to close.
            let filled = match self.socket.async_io(Interest::READABLE, read).await {
                Ok(filled) => filled,
                Err(error) => {
                    tracing::debug!(node = self.me.0, %error, "the socket could not be read");
                    tokio::task::yield_now().await;
                    continue;
                }
            };
            for (buffer, meta) in buffers[..filled].iter().zip(&meta) {
                for bytes in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    self.admit(bytes, &mut good);
                }
            }
            self.hand_over(&mut good);
            if filled == BATCH {
                // More waits. Let others have the thread in between.
                tokio::task::yield_now().await;
            }
        }
    }

    fn admit(&mut self, bytes: &[u8], good: &mut Vec<(NodeId, Bytes)>) {
        self.counters.count(Counter::Received);
        let (from, body) = match self.opener.open_bytes(bytes) {
            Ok(opened) => opened,
            Err(reason) => return self.counters.count(reason),
        };
        let class = Class::of(body);
        if self.limits.allow(from, class, since(self.origin)) {
            good.push((from, Bytes::copy_from_slice(body)));
        } else {
            self.counters.count(class);
        }
    }

    fn hand_over(&self, good: &mut Vec<(NodeId, Bytes)>) {
        if good.is_empty() {
            return;
        }
        let mut waiting = self.queue.lock();
        for (from, body) in good.drain(..) {
            if !waiting.inbox.push(from, body) {
                self.counters.count(Counter::Overflow);
            }
        }
        let node = waiting.node.take();
        drop(waiting);
        if let Some(node) = node {
            node.wake();
        }
    }
}

/// Writes the socket.
pub(super) struct Sender {
    socket: Arc<UdpSocket>,
    peers: Vec<SocketAddr>,
    waiting: VecDeque<(NodeId, Datagram)>,
    buffer: [u8; MAX_DATAGRAM_BYTES],
    counters: Arc<Counters>,
}

impl Sender {
    pub(super) fn new(
        socket: Arc<UdpSocket>,
        peers: Vec<SocketAddr>,
        counters: Arc<Counters>,
    ) -> Sender {
        let buffer = [0; MAX_DATAGRAM_BYTES];
        Sender { socket, peers, waiting: VecDeque::new(), buffer, counters }
    }

    /// Sends, or lets wait, or drops: datagrams promise nothing.
    pub(super) fn send(&mut self, to: NodeId, datagram: Datagram) {
        if !self.waiting.is_empty() || !self.try_send(to, &datagram) {
            if self.waiting.len() < OUTBOX {
                self.waiting.push_back((to, datagram));
            } else {
                self.counters.count(Counter::Unsent);
            }
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        while let Some((to, datagram)) = self.waiting.pop_front() {
            if !self.try_send(to, &datagram) {
                self.waiting.push_front((to, datagram));
                // Ready again at once, if the socket was emptied meanwhile.
                match self.socket.poll_send_ready(cx) {
                    Poll::Ready(_) => {}
                    Poll::Pending => break,
                }
            }
        }
        self.counters.set(Counter::OutboxDepth, self.waiting.len());
    }

    /// False if the socket is full.
    fn try_send(&mut self, to: NodeId, datagram: &Datagram) -> bool {
        let bytes = &mut self.buffer[..datagram.len()];
        bytes[..HEADER_BYTES].copy_from_slice(&datagram.header);
        bytes[HEADER_BYTES..].copy_from_slice(&datagram.body);
        match self.socket.try_send_to(bytes, self.peers[to.index()]) {
            Ok(_) => self.counters.count(Counter::Sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.counters.count(Counter::Unsent),
        }
        true
    }
}

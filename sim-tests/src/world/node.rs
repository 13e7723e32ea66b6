//! What the world keeps about a node, and what it queues and tells about nodes.

use super::Payload;
use super::clock::Clock;
use super::disk::{Disk, Fault};
use super::network::Flight;
use super::observe::{Cause, NodeEvent};
use super::port::Arrival;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// What waits in the queue.
pub(super) enum Event<P> {
    Packet(Flight<P>),
    Wake {
        node: usize,
        generation: u64,
    },
    Flushed {
        node: usize,
        incarnation: u32,
        ticket: u64,
        result: Result<(), Fault>,
    },
    Command {
        node: usize,
        id: u64,
    },
    /// The node is done with what kept it busy.
    Free {
        node: usize,
        incarnation: u32,
    },
    Control(u64),
}

impl<P> Event<P> {
    /// Whom it is for.
    pub(super) fn node(&self) -> Option<usize> {
        match self {
            Event::Packet(flight) => Some(usize::from(flight.to)),
            Event::Wake { node, .. }
            | Event::Flushed { node, .. }
            | Event::Command { node, .. }
            | Event::Free { node, .. } => Some(*node),
            Event::Control(_) => None,
        }
    }
}

/// What the observer is told once the state is unlocked.
pub(super) enum Note<P> {
    Delivered { at_ns: u64, flight: Flight<P> },
    Dropped { at_ns: u64, flight: Flight<P>, cause: Cause },
    Node { at_ns: u64, node: usize, event: NodeEvent },
}

/// One node as the world sees it.
pub(super) struct Node<P> {
    /// A program is running or about to.
    pub up: bool,
    /// The program of this incarnation has been spawned.
    pub spawned: bool,
    pub paused: bool,
    /// Its processor works until then; what arrives meanwhile waits.
    pub busy_until_ns: u64,
    /// Number of starts so far.
    pub incarnation: u32,
    pub clock: Clock,
    pub disk: Arc<Mutex<Disk>>,
    pub inbox: Vec<Arrival<P>>,
    /// Packets that came before those of the inbox, and that a program which takes few at a time
    /// has left.
    backlog: VecDeque<Arrival<P>>,
    backlog_bytes: usize,
    /// Unread packets and their bytes.
    pub unread: (usize, usize),
    pub waker: Option<Waker>,
    /// The local time for which a wake waits in the queue.
    pub armed: Option<u64>,
    /// Only the wake of the latest generation counts.
    pub generation: u64,
}

impl<P: Payload> Node<P> {
    /// A node that was never started.
    pub(super) fn new(clock: Clock, disk: Disk) -> Node<P> {
        Node {
            up: false,
            spawned: false,
            paused: false,
            busy_until_ns: 0,
            incarnation: 0,
            clock,
            disk: Arc::new(Mutex::new(disk)),
            inbox: Vec::new(),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            unread: (0, 0),
            waker: None,
            armed: None,
            generation: 0,
        }
    }

    /// Forgets what belonged to the incarnation that has ended.
    pub(super) fn go_down(&mut self) {
        self.up = false;
        self.paused = false;
        self.busy_until_ns = 0;
        self.inbox.clear();
        self.backlog.clear();
        self.backlog_bytes = 0;
        self.unread = (0, 0);
        self.waker = None;
        self.armed = None;
        self.generation += 1;
    }

    /// True if it can be handed something now.
    #[inline]
    pub(super) fn runs(&self, now_ns: u64) -> bool {
        !self.paused && self.busy_until_ns <= now_ns
    }

    /// True if something waits for the program.
    #[inline]
    pub(super) fn has_mail(&self) -> bool {
        !self.inbox.is_empty() || !self.backlog.is_empty()
    }

    /// Gives arrivals to the program, with at most this many packets. False if there are none.
    #[inline]
    pub(super) fn drain(&mut self, most_packets: usize, out: &mut Vec<Arrival<P>>) -> bool {
        let some = self.has_mail();
        if most_packets == usize::MAX && self.backlog.is_empty() {
            self.unread = (0, 0);
            out.append(&mut self.inbox);
        } else {
            self.drain_some(most_packets, out);
        }
        some
    }

    /// What is no packet comes first: a program that is behind with its packets still sees its
    /// timers and the answers of its disk.
    fn drain_some(&mut self, most_packets: usize, out: &mut Vec<Arrival<P>>) {
        let bytes = |arrival: &Arrival<P>| match arrival {
            Arrival::Packet { payload, .. } => payload.len(),
            _ => 0,
        };
        let is_packet = |arrival: &mut Arrival<P>| matches!(arrival, Arrival::Packet { .. });
        for packet in self.inbox.extract_if(.., is_packet) {
            self.backlog_bytes += bytes(&packet);
            self.backlog.push_back(packet);
        }
        out.append(&mut self.inbox);
        for packet in self.backlog.drain(..most_packets.min(self.backlog.len())) {
            self.backlog_bytes -= bytes(&packet);
            out.push(packet);
        }
        self.unread = (self.backlog.len(), self.backlog_bytes);
    }
}

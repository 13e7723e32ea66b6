//! What the world keeps about a node, and what it queues and tells about nodes.

use super::clock::Clock;
use super::disk::{Disk, Fault};
use super::network::Flight;
use super::observe::{Cause, NodeEvent};
use super::port::Arrival;
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
    /// Unread packets and their bytes.
    pub unread: (usize, usize),
    pub waker: Option<Waker>,
    /// The local time for which a wake waits in the queue.
    pub armed: Option<u64>,
    /// Only the wake of the latest generation counts.
    pub generation: u64,
}

impl<P> Node<P> {
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

    /// Gives all arrivals to the program. False if there are none.
    #[inline]
    pub(super) fn drain(&mut self, out: &mut Vec<Arrival<P>>) -> bool {
        let some = !self.inbox.is_empty();
        self.unread = (0, 0);
        out.append(&mut self.inbox);
        some
    }
}

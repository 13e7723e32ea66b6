//! What the world tells about itself: counts, and a stream of events for whoever asks.
//!
//! The problem: trace, fingerprint, oracles and reports all want to see every packet, and none of
//! them may change what happens. Our way: one observer, called in order of virtual time, with
//! nothing of the world locked that it could want to read. The caller composes: a pair of observers
//! is an observer, and so is a shared one. An unobserved world does not pay for it.

use super::disk::{CrashMode, Fault};
use crate::trace::fingerprint::Fingerprint;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a packet never reached its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Lost on the link, independently.
    Loss,
    /// Lost in a burst.
    Burst,
    /// The link was cut when it arrived.
    Cut,
    /// The link was jammed and held as many packets as it can.
    Jam,
    /// The receiver was down.
    Down,
    /// The receiver was paused and its socket full.
    Socket,
    /// The sender's uplink queue was full.
    Uplink,
    /// Longer than the link carries.
    Mtu,
}

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 8] = [
        Cause::Loss,
        Cause::Burst,
        Cause::Cut,
        Cause::Jam,
        Cause::Down,
        Cause::Socket,
        Cause::Uplink,
        Cause::Mtu,
    ];

    /// The name that statistics use.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Loss => "loss",
            Cause::Burst => "burst",
            Cause::Cut => "cut",
            Cause::Jam => "jam",
            Cause::Down => "down",
            Cause::Socket => "socket",
            Cause::Uplink => "uplink",
            Cause::Mtu => "mtu",
        }
    }
}

/// Packet counts since the start of the run. A broadcast counts once per receiver, and
/// `sent + duplicated = delivered + dropped + still under way`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets handed to the network.
    pub sent: u64,
    /// Packets that reached the socket of their receiver, corrupted ones included.
    pub delivered: u64,
    /// Packets that did not, by the name of their cause; causes that never struck are absent.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Second copies that the network made.
    pub duplicated: u64,
    /// Delivered packets with a flipped bit.
    pub corrupted: u64,
}

/// Something that happened to a node, apart from packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// It was started; incarnations count from 1.
    Started {
        /// The number of this start.
        incarnation: u32,
    },
    /// It was crashed (running or not).
    Crashed(CrashMode),
    /// Its program returned.
    Exited,
    /// It was paused.
    Paused,
    /// It was resumed.
    Resumed,
    /// What kept its processor busy is done, and something waits.
    Freed,
    /// Its deadline was reached.
    Woke,
    /// A flush ticket was answered.
    Flushed {
        /// The ticket.
        ticket: u64,
        /// Whether the data is durable.
        result: Result<(), Fault>,
    },
    /// It got a command.
    Command(u64),
}

/// Sees everything that happens, in order. `at_ns` is world time. All methods do nothing by
/// default.
///
/// The world calls it synchronously and holds no lock that the observer could need to *read* the
/// world or to schedule commands and control points. Changing a node (start, crash, pause) from
/// inside an observer panics.
pub trait Observer<P>: Send {
    /// A packet was handed to the network.
    fn sent(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        let _ = (at_ns, from, to, label, payload);
    }

    /// A packet reached the socket of its receiver, which has not looked at it yet.
    fn delivered(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        let _ = (at_ns, from, to, label, payload);
    }

    /// A packet is gone.
    fn dropped(
        &mut self,
        at_ns: u64,
        from: usize,
        to: usize,
        label: u64,
        payload: &P,
        cause: Cause,
    ) {
        let _ = (at_ns, from, to, label, payload, cause);
    }

    /// Something else happened to a node, which has not acted on it yet.
    fn node(&mut self, at_ns: u64, node: usize, event: NodeEvent) {
        let _ = (at_ns, node, event);
    }
}

/// Both observers, the first one first.
impl<P, A: Observer<P>, B: Observer<P>> Observer<P> for (A, B) {
    fn sent(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        self.0.sent(at_ns, from, to, label, payload);
        self.1.sent(at_ns, from, to, label, payload);
    }

    fn delivered(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        self.0.delivered(at_ns, from, to, label, payload);
        self.1.delivered(at_ns, from, to, label, payload);
    }

    fn dropped(&mut self, at_ns: u64, from: usize, to: usize, label: u64, p: &P, cause: Cause) {
        self.0.dropped(at_ns, from, to, label, p, cause);
        self.1.dropped(at_ns, from, to, label, p, cause);
    }

    fn node(&mut self, at_ns: u64, node: usize, event: NodeEvent) {
        self.0.node(at_ns, node, event);
        self.1.node(at_ns, node, event);
    }
}

/// An observer that its owner can look into while the world runs.
impl<P, O: Observer<P>> Observer<P> for Arc<Mutex<O>> {
    fn sent(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        lock(self).sent(at_ns, from, to, label, payload);
    }

    fn delivered(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        lock(self).delivered(at_ns, from, to, label, payload);
    }

    fn dropped(&mut self, at_ns: u64, from: usize, to: usize, label: u64, p: &P, cause: Cause) {
        lock(self).dropped(at_ns, from, to, label, p, cause);
    }

    fn node(&mut self, at_ns: u64, node: usize, event: NodeEvent) {
        lock(self).node(at_ns, node, event);
    }
}

/// Locks without caring for a panic elsewhere: the run is over then anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An observer that feeds a [`Fingerprint`] with everything that reaches a node or fails to.
///
/// Sends are not fed: each of them is either delivered or dropped later, with its arrival time.
pub struct Fingerprinter<P> {
    /// The fingerprint so far.
    pub fingerprint: Fingerprint,
    /// Reduces a payload to what has to be equal between two equal runs. Cheap and pure.
    digest: fn(&P) -> u64,
}

impl<P> Fingerprinter<P> {
    /// Feeds `fingerprint`, in which payloads are represented by their `digest`.
    pub fn new(fingerprint: Fingerprint, digest: fn(&P) -> u64) -> Fingerprinter<P> {
        Fingerprinter { fingerprint, digest }
    }
}

impl<P> Observer<P> for Fingerprinter<P> {
    fn delivered(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        self.fingerprint.event(at_ns, to, 1, &[from as u64, label, (self.digest)(payload)]);
    }

    fn dropped(&mut self, at_ns: u64, from: usize, to: usize, label: u64, p: &P, cause: Cause) {
        let kind = 16 + cause as u64;
        self.fingerprint.event(at_ns, to, kind, &[from as u64, label, (self.digest)(p)]);
    }

    fn node(&mut self, at_ns: u64, node: usize, event: NodeEvent) {
        let (kind, words) = match event {
            NodeEvent::Started { incarnation } => (2, [u64::from(incarnation), 0]),
            NodeEvent::Crashed(mode) => (3, [mode as u64, 0]),
            NodeEvent::Exited => (4, [0, 0]),
            NodeEvent::Paused => (5, [0, 0]),
            NodeEvent::Resumed => (6, [0, 0]),
            NodeEvent::Woke => (7, [0, 0]),
            NodeEvent::Freed => (10, [0, 0]),
            NodeEvent::Flushed { ticket, result } => {
                (8, [ticket, result.map_or_else(|fault| 1 + fault as u64, |()| 0)])
            }
            NodeEvent::Command(id) => (9, [id, 0]),
        };
        self.fingerprint.event(at_ns, node, kind, &words);
    }
}

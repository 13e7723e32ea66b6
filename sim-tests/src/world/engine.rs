//! The heart of the world: pops one event, hands it to one node, and waits until it is handled.
//!
//! The problem: an executor runs ready tasks in an order of its own. If two nodes were ready at
//! once, that order would decide who sends first, and one more task anywhere would change it.
//!
//! Our way: a baton. At most one node has it and runs; all others wait for their next event. The
//! baton comes back when the node asks for more and its inbox is empty, or when its program ends.
//! Whoever returns it also takes the next event off the queue and wakes the node it is for: there
//! is no task between two nodes, so an event costs one poll. `World::pump` lends the baton out and
//! gets it back at a control point or at its time limit; without a pump, nothing moves.
//!
//! Faults meet a packet here, at the moment it arrives. Events of an earlier incarnation (wakes,
//! flushes) and wakes that were set again are skipped. A node that is paused gets its arrivals into
//! its inbox, up to the size of its socket, but not the baton.

use super::clock::Clock;
use super::disk::Disk;
use super::network::{Arriving, Flight, Uplink, Wires};
use super::node::{Event, Node, Note};
use super::observe::{Cause, NodeEvent, Stats, lock};
use super::port::Arrival;
use super::queue::Queue;
use super::rng::{Draws, salted};
use super::{Config, Payload, Stop, runner};
use madsim::time::TimeHandle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

/// The runtime's own clock, which only third-party code reads, follows in steps of this.
const FOLLOW_NS: u64 = 1_000_000;

/// So many events without time moving are a loop, not a world.
const STANDSTILL: u64 = 10_000_000;

/// Kinds in the names of tie-breaks.
const TIE_WAKE: u64 = 1 << 60;
const TIE_FLUSH: u64 = 2 << 60;
const TIE_COMMAND: u64 = 3 << 60;
const TIE_FREE: u64 = 4 << 60;

/// Everything that changes during a run.
pub(super) struct State<P> {
    pub now_ns: u64,
    /// The same for disks, which are locked on their own.
    shared_now_ns: Arc<AtomicU64>,
    queue: Queue<Event<P>>,
    pub nodes: Vec<Node<P>>,
    pub wires: Wires<P>,
    /// Nodes that get the baton before the next event: just started or resumed.
    pub ready: VecDeque<usize>,
    /// The node that has the baton.
    pub holder: Option<usize>,
    /// Programs that were crashed and whose destructors have not run yet.
    pub dying: usize,
    /// Set while `pump` waits.
    pub pump: Option<Waker>,
    pub until_ns: u64,
    pub stop: Option<Stop>,
    pub observed: bool,
    pub notes: Vec<Note<P>>,
    stats: Stats,
    dropped: [u64; Cause::ALL.len()],
    seed: u64,
    tie_draws: Draws,
    boot_draws: Draws,
    /// Events popped since time last moved.
    standing: u64,
    runtime_clock: TimeHandle,
    follow_at_ns: u64,
}

impl<P: Payload> State<P> {
    pub(super) fn new(config: Config, now_ns: Arc<AtomicU64>) -> State<P> {
        let node = |index| {
            let disk = Disk::new(config.seed, index, config.disk);
            Node::new(Clock::new(config.clocks[index], 0), disk)
        };
        State {
            now_ns: 0,
            shared_now_ns: now_ns,
            queue: Queue::new(),
            nodes: (0..config.nodes).map(node).collect(),
            wires: Wires::new(config.seed, config.network),
            ready: VecDeque::new(),
            holder: None,
            dying: 0,
            pump: None,
            until_ns: 0,
            stop: None,
            observed: false,
            notes: Vec::new(),
            stats: Stats::default(),
            dropped: [0; Cause::ALL.len()],
            seed: config.seed,
            tie_draws: Draws::new(config.seed, "tie"),
            boot_draws: Draws::new(config.seed, "boot"),
            standing: 0,
            runtime_clock: TimeHandle::current(),
            follow_at_ns: 0,
        }
    }

    /// Moves on until a node has the baton or the pump is to stop. Returns a node whose program has
    /// to be spawned first. Node `me` is not woken: it asks.
    pub(super) fn advance(&mut self, me: Option<usize>) -> Option<usize> {
        while self.pump.is_some() && self.holder.is_none() && self.dying == 0 {
            if let Some(node) = self.ready.pop_front() {
                let spawn = self.lend_to_ready(node, me);
                if spawn.is_some() {
                    return spawn;
                }
                continue;
            }
            let next_ns = self.queue.peek().map(|(at_ns, _)| at_ns);
            if next_ns.is_none_or(|at_ns| at_ns > self.until_ns) {
                if self.until_ns < u64::MAX {
                    self.move_to(self.until_ns);
                }
                self.stop(Stop::Limit);
                return None;
            }
            let (at_ns, event) = self.queue.pop().expect("just seen");
            self.move_to(at_ns);
            let target = event.node();
            if self.happen(event) {
                let node = target.expect("only nodes are handed anything");
                self.hand_over_rest(node);
                self.lend(node, me);
            }
        }
        None
    }

    /// Hands over what comes next in the queue at the same instant for the same node.
    fn hand_over_rest(&mut self, node: usize) {
        let now_ns = self.now_ns;
        let same = |(at_ns, event): (u64, &Event<P>)| at_ns == now_ns && event.node() == Some(node);
        while self.queue.peek().is_some_and(same) {
            let (_, event) = self.queue.pop().expect("just seen");
            self.happen(event);
        }
    }

    fn lend(&mut self, node: usize, me: Option<usize>) {
        self.holder = Some(node);
        runner::set_now(Some(node), self.now_ns);
        if let Some(waker) = self.nodes[node].waker.as_ref().filter(|_| me != Some(node)) {
            waker.wake_by_ref();
        }
    }

    /// Takes the baton from a node, if it has it, and lets the pump go on with it.
    pub(super) fn take_baton(&mut self, node: usize) {
        if self.holder == Some(node) {
            self.holder = None;
        }
        if let Some(pump) = &self.pump {
            pump.wake_by_ref();
        }
    }

    /// A program has been dropped: killed by a crash, or because it returned.
    pub(super) fn program_ended(&mut self, index: usize, incarnation: u32) {
        let node = &mut self.nodes[index];
        if node.incarnation == incarnation && node.up {
            node.go_down();
            lock(&node.disk).detach();
            self.note(index, NodeEvent::Exited);
        } else {
            self.dying -= 1;
        }
        self.take_baton(index);
    }

    fn lend_to_ready(&mut self, index: usize, me: Option<usize>) -> Option<usize> {
        let node = &mut self.nodes[index];
        if !node.up || !node.runs(self.now_ns) {
            return None;
        }
        if !node.spawned {
            node.spawned = true;
            let incarnation = node.incarnation;
            self.note(index, NodeEvent::Started { incarnation });
            self.lend(index, me);
            return Some(index);
        }
        if node.has_mail() {
            self.lend(index, me);
        }
        None
    }

    fn stop(&mut self, stop: Stop) {
        self.stop = Some(stop);
        runner::set_now(None, self.now_ns);
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    fn move_to(&mut self, at_ns: u64) {
        if at_ns == self.now_ns {
            self.standing += 1;
            assert!(self.standing < STANDSTILL, "time stands still at {at_ns} ns");
            return;
        }
        self.standing = 0;
        self.now_ns = at_ns;
        self.shared_now_ns.store(at_ns, Ordering::Relaxed);
        if at_ns >= self.follow_at_ns {
            let behind = Duration::from_nanos(at_ns).saturating_sub(self.runtime_clock.elapsed());
            self.runtime_clock.advance(behind);
            self.follow_at_ns = at_ns.saturating_add(FOLLOW_NS);
        }
    }

    /// Lets an event happen. True if a node that can run has something in its inbox.
    fn happen(&mut self, event: Event<P>) -> bool {
        match event {
            Event::Packet(flight) => self.arrive(flight),
            Event::Wake { node, generation } => {
                if self.nodes[node].generation != generation {
                    return false;
                }
                self.nodes[node].armed = None;
                self.deliver(node, Arrival::Wake, NodeEvent::Woke)
            }
            Event::Flushed { node, incarnation, ticket, result } => {
                if self.nodes[node].incarnation != incarnation {
                    return false;
                }
                let arrival = Arrival::Done { ticket, result };
                self.deliver(node, arrival, NodeEvent::Flushed { ticket, result })
            }
            Event::Command { node, id } => {
                self.deliver(node, Arrival::Command(id), NodeEvent::Command(id))
            }
            Event::Free { node: index, incarnation } => {
                let node = &self.nodes[index];
                let due = node.incarnation == incarnation && node.runs(self.now_ns);
                if !due || !node.has_mail() {
                    return false;
                }
                self.note(index, NodeEvent::Freed);
                true
            }
            Event::Control(id) => {
                self.stop(Stop::Control(id));
                false
            }
        }
    }

    fn deliver(&mut self, node: usize, arrival: Arrival<P>, event: NodeEvent) -> bool {
        if !self.nodes[node].up {
            return false;
        }
        self.note(node, event);
        self.nodes[node].inbox.push(arrival);
        self.nodes[node].runs(self.now_ns)
    }

    fn arrive(&mut self, mut flight: Flight<P>) -> bool {
        let corrupted = match self.wires.arrive(self.now_ns, &mut flight) {
            Arriving::Delivered { corrupted } => corrupted,
            Arriving::Held => return false,
            Arriving::Dropped(cause) => return self.drop(flight, cause),
        };
        let node = &mut self.nodes[usize::from(flight.to)];
        if !node.up {
            return self.drop(flight, Cause::Down);
        }
        let runs = node.runs(self.now_ns);
        if !runs {
            let socket = self.wires.config().socket;
            let bytes = node.unread.1 + flight.payload.len();
            if node.unread.0 >= socket.packets || bytes > socket.bytes {
                return self.drop(flight, Cause::Socket);
            }
            node.unread = (node.unread.0 + 1, bytes);
        }
        self.stats.delivered += 1;
        self.stats.corrupted += u64::from(corrupted);
        let from = usize::from(flight.from);
        if self.observed {
            node.inbox.push(Arrival::Packet { from, payload: flight.payload.clone() });
            self.notes.push(Note::Delivered { at_ns: self.now_ns, flight });
        } else {
            node.inbox.push(Arrival::Packet { from, payload: flight.payload });
        }
        runs
    }

    fn drop(&mut self, flight: Flight<P>, cause: Cause) -> bool {
        self.dropped[cause as usize] += 1;
        if self.observed {
            self.notes.push(Note::Dropped { at_ns: self.now_ns, flight, cause });
        }
        false
    }

    /// Tells the observer about a node.
    pub(super) fn note(&mut self, node: usize, event: NodeEvent) {
        if self.observed {
            self.notes.push(Note::Node { at_ns: self.now_ns, node, event });
        }
    }

    /// The node's processor is busy for a while.
    pub(super) fn work(&mut self, index: usize, for_ns: u64) {
        let node = &mut self.nodes[index];
        let from_ns = node.busy_until_ns.max(self.now_ns);
        node.busy_until_ns = from_ns.saturating_add(for_ns);
        let (at_ns, incarnation) = (node.busy_until_ns, node.incarnation);
        let name = TIE_FREE | (index as u64) << 32 | u64::from(incarnation);
        let tie = self.tie_draws.draw(at_ns, name).word(0);
        self.queue.push(at_ns, tie, Event::Free { node: index, incarnation });
    }

    /// A packet leaves.
    pub(super) fn send(&mut self, from: usize, to: usize, payload: P, label: u64) {
        assert!(to < self.nodes.len(), "node {from} sends to {to}, which is not there");
        self.stats.sent += 1;
        let (from, to) = (from as u16, to as u16);
        let (use_number, luck, copy, leaves_ns) = (0, 0, false, 0);
        let flight = Flight { from, to, use_number, label, luck, copy, leaves_ns, payload };
        let (queue, stats) = (&mut self.queue, &mut self.stats);
        let sent = self.wires.send(self.now_ns, flight, |arrival, flight| {
            stats.duplicated += u64::from(flight.copy);
            queue.push(arrival.at_ns, arrival.tie, Event::Packet(flight));
        });
        if let Err((flight, cause)) = sent {
            self.drop(flight, cause);
        }
    }

    /// Makes sure that exactly the wanted wake is in the queue.
    #[inline]
    pub(super) fn arm(&mut self, index: usize, deadline: Option<u64>) {
        let node = &mut self.nodes[index];
        if node.armed == deadline {
            return;
        }
        node.armed = deadline;
        node.generation += 1;
        if let Some(local_ns) = deadline {
            let at_ns = node.clock.world(local_ns).max(self.now_ns);
            let name = TIE_WAKE | (index as u64) << 32 | u64::from(node.incarnation);
            let tie = self.tie_draws.draw(local_ns, name).word(0);
            let wake = Event::Wake { node: index, generation: node.generation };
            self.queue.push(at_ns, tie, wake);
        }
    }

    /// Changes the drift of a node's clocks; its timer moves along.
    pub(super) fn set_drift(&mut self, index: usize, drift_ppb: i32) {
        let node = &mut self.nodes[index];
        node.clock.set_drift(self.now_ns, drift_ppb);
        if let Some(deadline) = node.armed.take() {
            self.arm(index, Some(deadline));
        }
    }

    pub(super) fn flush_ticket(&mut self, index: usize, ticket: u64) {
        let node = &self.nodes[index];
        let (at_ns, result) = match lock(&node.disk).flushed_at() {
            Ok(at_ns) => (at_ns.max(self.now_ns), Ok(())),
            Err(fault) => (self.now_ns, Err(fault)),
        };
        let incarnation = node.incarnation;
        let name = TIE_FLUSH | (index as u64) << 32 | u64::from(incarnation);
        let tie = self.tie_draws.draw(ticket, name).word(0);
        self.queue.push(at_ns, tie, Event::Flushed { node: index, incarnation, ticket, result });
    }

    pub(super) fn schedule_command(&mut self, at_ns: u64, node: usize, id: u64) {
        assert!(node < self.nodes.len(), "a command for node {node}, which is not there");
        let tie = self.tie_draws.draw(id, TIE_COMMAND | node as u64).word(0);
        self.queue.push(at_ns.max(self.now_ns), tie, Event::Command { node, id });
    }

    /// Control points come before everything else of their instant.
    pub(super) fn schedule_control(&mut self, at_ns: u64, id: u64) {
        self.queue.push(at_ns.max(self.now_ns), 0, Event::Control(id));
    }

    /// Ends a jam and sends what it held on its way.
    pub(super) fn unjam(&mut self, from: usize, to: usize) {
        for (arrival, flight) in self.wires.unjam(self.now_ns, from, to) {
            self.queue.push(arrival.at_ns, arrival.tie, Event::Packet(flight));
        }
    }

    /// Changes the outgoing bandwidth of a node, also for what waits in its uplink.
    pub(super) fn set_uplink(&mut self, node: usize, uplink: Option<Uplink>) {
        if let Some(hurry) = self.wires.set_uplink(self.now_ns, node, uplink) {
            let wires = &mut self.wires;
            self.queue.retime(|event| match event {
                Event::Packet(flight) => {
                    wires.hurried(hurry, flight).map(|arrival| (arrival.at_ns, arrival.tie))
                }
                _ => None,
            });
        }
    }

    pub(super) fn draw_anew(&mut self, salt: u64) {
        let seed = salted(self.seed, salt);
        self.tie_draws = Draws::new(seed, "tie");
        self.boot_draws = Draws::new(seed, "boot");
        self.wires.draw_anew(seed);
        for node in &self.nodes {
            lock(&node.disk).draw_anew(seed);
        }
    }

    /// The origin of the monotonic clock of a node from its next start on.
    pub(super) fn boot_time(&mut self, node: usize, incarnation: u32) -> u64 {
        // Up to 2^50 ns: the machine has been running for up to 13 days.
        self.boot_draws.draw(node as u64, u64::from(incarnation)).below(0, 1 << 50)
    }

    pub(super) fn stats(&self) -> Stats {
        let count = |cause: Cause| (cause.name(), self.dropped[cause as usize]);
        let mut stats = self.stats.clone();
        stats.dropped = Cause::ALL.into_iter().map(count).filter(|(_, n)| *n > 0).collect();
        stats
    }
}

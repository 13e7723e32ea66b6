//! What a program on a node gets of the world: its clocks, its network, its disk, its next event.
//!
//! A program is one task that loops: wait for [`Port::next`], handle what came, wait again. While
//! it handles, world time stands still and no other node runs; the world goes on when it waits with
//! an empty inbox. Work that it has handed to another task by then is not waited for, so a program
//! does its work itself.

use super::Payload;
use super::disk::{Fault, Handle};
use super::observe::lock;
use super::shared::Shared;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Something that reached a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival<P> {
    /// A datagram.
    Packet {
        /// The node that sent it (as the network knows it; nothing is authenticated).
        from: usize,
        /// Its content, perhaps with a flipped bit.
        payload: P,
    },
    /// The deadline of [`Port::next`] is reached.
    Wake,
    /// The answer to [`Port::flush_ticket`].
    Done {
        /// The ticket of the question.
        ticket: u64,
        /// `Ok` if all that had been synced when it was asked is durable; an error if the last sync
        /// before it had failed.
        result: Result<(), Fault>,
    },
    /// The harness asks for something by number ([`World::schedule_command`]).
    ///
    /// [`World::schedule_command`]: super::World::schedule_command
    Command(u64),
}

/// The world as one incarnation of one node sees it.
///
/// A port outlives a crash of its node harmlessly: it then sends nothing and receives nothing.
pub struct Port<P: Payload> {
    shared: Arc<Shared<P>>,
    node: usize,
    incarnation: u32,
}

impl<P: Payload> Port<P> {
    pub(super) fn new(shared: Arc<Shared<P>>, node: usize, incarnation: u32) -> Port<P> {
        Port { shared, node, incarnation }
    }

    /// The number of this node.
    pub fn node(&self) -> usize {
        self.node
    }

    /// Which start of this node this is, counted from 1.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The monotonic clock, in nanoseconds since the machine was switched on: it drifts, and has
    /// another origin on each node and after each start.
    pub fn now_ns(&self) -> u64 {
        let state = lock(&self.shared.state);
        state.nodes[self.node].clock.local(state.now_ns)
    }

    /// The wall clock, in nanoseconds of Unix time: off, drifting, and apt to jump.
    pub fn wall_ns(&self) -> u64 {
        let state = lock(&self.shared.state);
        state.nodes[self.node].clock.wall(state.now_ns)
    }

    /// Hands a datagram to the network. `label` names it for the random draws: the same content
    /// gets the same label in every run, different content a different one.
    ///
    /// # Panics
    /// If there is no node `to`.
    pub fn send(&self, to: usize, payload: P, label: u64) {
        let (observed, now_ns) = {
            let mut state = lock(&self.shared.state);
            let node = &state.nodes[self.node];
            if node.incarnation != self.incarnation || !node.up {
                return;
            }
            if !state.observed {
                state.send(self.node, to, payload, label);
                return;
            }
            (&self.shared, state.now_ns)
        };
        observed.observe_sent(now_ns, self.node, to, label, &payload);
        let noted = {
            let mut state = lock(&observed.state);
            state.send(self.node, to, payload, label);
            !state.notes.is_empty()
        };
        if noted {
            observed.observe();
        }
    }

    /// Waits until something has arrived, and puts all of it at the end of `out`. If `deadline` is
    /// given, a [`Arrival::Wake`] arrives when the monotonic clock reaches it, but only while the
    /// program waits with that same deadline: the deadline of the latest wait is the only one.
    ///
    /// Dropping the future loses nothing: what has arrived stays for the next call.
    pub async fn next(&mut self, deadline: Option<u64>, out: &mut Vec<Arrival<P>>) {
        self.next_few(usize::MAX, deadline, out).await;
    }

    /// The same with at most so many packets, for a program that works between them: the rest stays
    /// unread, and what is no packet does not wait behind it.
    pub async fn next_few(
        &mut self,
        most_packets: usize,
        deadline: Option<u64>,
        out: &mut Vec<Arrival<P>>,
    ) {
        poll_fn(|context| self.poll_next(context, most_packets, deadline, out)).await;
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        most_packets: usize,
        deadline: Option<u64>,
        out: &mut Vec<Arrival<P>>,
    ) -> Poll<()> {
        loop {
            {
                let mut state = lock(&self.shared.state);
                let now_ns = state.now_ns;
                let node = &mut state.nodes[self.node];
                if node.incarnation != self.incarnation || !node.up || node.paused {
                    return Poll::Pending;
                }
                if node.runs(now_ns) && node.drain(most_packets, out) {
                    return Poll::Ready(());
                }
                match &node.waker {
                    Some(waker) if waker.will_wake(context.waker()) => {}
                    _ => node.waker = Some(context.waker().clone()),
                }
                state.arm(self.node, deadline);
                if state.holder != Some(self.node) {
                    return Poll::Pending;
                }
                state.holder = None;
            }
            // If the baton comes straight back, there is something to drain.
            if self.shared.advance(Some(self.node)) != Some(self.node) {
                return Poll::Pending;
            }
        }
    }

    /// Keeps the node's processor busy for `for_ns` of world time from now (or from the end of what
    /// keeps it busy already): whatever arrives meanwhile waits, up to the size of its socket.
    pub fn work(&self, for_ns: u64) {
        let mut state = lock(&self.shared.state);
        let node = &state.nodes[self.node];
        if for_ns > 0 && node.incarnation == self.incarnation && node.up {
            state.work(self.node, for_ns);
        }
    }

    /// Lets [`World::pump`] return with [`Stop::Control`] at this instant, as soon as this node
    /// waits: nothing else happens in between.
    ///
    /// [`World::pump`]: super::World::pump
    /// [`Stop::Control`]: super::Stop::Control
    pub fn call_control(&self, id: u64) {
        let mut state = lock(&self.shared.state);
        let now_ns = state.now_ns;
        state.schedule_control(now_ns, id);
    }

    /// The database file of this node.
    pub fn disk(&self) -> Handle {
        let state = lock(&self.shared.state);
        let disk = Arc::clone(&state.nodes[self.node].disk);
        Handle::new(disk, Arc::clone(&self.shared.now_ns), self.incarnation)
    }

    /// Asks for an [`Arrival::Done`] with this ticket when everything synced so far is durable.
    pub fn flush_ticket(&self, ticket: u64) {
        let mut state = lock(&self.shared.state);
        let node = &state.nodes[self.node];
        if node.incarnation == self.incarnation && node.up {
            state.flush_ticket(self.node, ticket);
        }
    }
}

//! The simulated environment of a cluster: network, disks, clocks and time itself.
//!
//! The problem: a distributed system fails in the gaps: between a write and its sync, between two
//! messages that cross, between two clocks. Tests on real machines meet those moments by luck and
//! cannot return to them. A simulator meets them on purpose, if it owns every source of order and
//! chance, and if one seed really decides everything.
//!
//! Our way: all that can happen is in one queue of events, ordered by exact virtual time and a
//! keyed tie-break. The world pops one event, hands it to one node, waits until that node is idle
//! again and pops the next; no scheduler has a say. Every random draw has a name made of what it is
//! for, so one fault more or less leaves all other draws as they were.
//!
//! The supervisor (the future given to [`run`]) builds a [`World`], sets the program that every
//! node runs, starts nodes, and lets time pass with [`World::pump`] from control point to control
//! point, at which it breaks and heals things. The world knows nothing about what the nodes do.
//!
//! | file | decides |
//! |---|---|
//! | `engine` | what happens next, and to whom |
//! | `network` | where packets go, when, and whether |
//! | `disk` | what is left after a crash |
//! | `clock` | what time a node thinks it is |
//! | `rng` | every draw, by name |
//! | `port` | what a program sees of all this |
//! | `observe` | what the harness sees of it |
//! | `runner` | how a run starts and ends |

mod clock;
pub mod disk;
mod engine;
pub mod network;
mod node;
pub mod observe;
mod port;
mod queue;
pub mod rng;
mod runner;
mod shared;

pub use clock::{ClockConfig, MAX_DRIFT_PPB, WALL_START_NS};
pub use port::{Arrival, Port};
pub use runner::{Panicked, run};

use disk::{CrashMode, Disk, DiskConfig};
use network::{Link, Links, Network, Uplink};
use observe::{Observer, Stats, lock};
use shared::Shared;
use std::future::poll_fn;
use std::sync::Arc;

/// What a datagram is. Clones are made for each receiver, so the body belongs behind a shared
/// pointer.
pub trait Payload: Clone + Send + Sync + 'static {
    /// Its length on the wire, in bytes.
    fn len(&self) -> usize;

    /// True if it has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy with one bit flipped; `bit` is below eight times the length. The body must not be
    /// shared with the original, which other receivers hold.
    #[must_use]
    fn flip_bit(&self, bit: u64) -> Self;
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides every draw.
    pub seed: u64,
    /// The number of nodes; they are numbered from 0.
    pub nodes: usize,
    /// Their network, for that many nodes.
    pub network: Network,
    /// The disk of every node; [`World::edit_disk`] makes differences.
    pub disk: DiskConfig,
    /// One entry for each node.
    pub clocks: Vec<ClockConfig>,
}

/// Why [`World::pump`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The control point with this number is reached.
    Control(u64),
    /// The time limit is reached, or nothing is left to happen.
    Limit,
}

/// The supervisor's handle on the world; clones are handles on the same one.
pub struct World<P: Payload>(Arc<Shared<P>>);

impl<P: Payload> Clone for World<P> {
    fn clone(&self) -> World<P> {
        World(Arc::clone(&self.0))
    }
}

impl<P: Payload> World<P> {
    /// A world at time 0 in which all nodes are down. To be called inside [`run`].
    ///
    /// # Panics
    /// Outside [`run`], or if the configuration is inconsistent.
    pub fn new(config: Config) -> World<P> {
        assert_eq!(config.nodes, config.network.nodes(), "the network has as many nodes");
        assert_eq!(config.nodes, config.clocks.len(), "one clock for each node");
        World(Arc::new(Shared::new(config)))
    }

    /// Sets what nodes run from their next start on.
    pub fn set_program<F, Fut>(&self, program: F)
    where
        F: Fn(Port<P>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        *lock(&self.0.program) = Some(Arc::new(move |port| Box::pin(program(port))));
    }

    /// Sets who sees everything, instead of whoever did before.
    pub fn set_observer(&self, observer: impl Observer<P> + 'static) {
        self.0.set_observer(Box::new(observer));
    }

    /// World time, in nanoseconds since the start of the run. No node knows it.
    pub fn now_ns(&self) -> u64 {
        lock(&self.0.state).now_ns
    }

    /// Packet counts so far.
    pub fn stats(&self) -> Stats {
        lock(&self.0.state).stats()
    }

    /// True if the node was started and has neither crashed nor returned.
    pub fn is_up(&self, node: usize) -> bool {
        lock(&self.0.state).nodes[node].up
    }

    /// Starts a node: a new incarnation with a fresh [`Port`], which runs the program from the
    /// next [`World::pump`] on, in order of the starts.
    ///
    /// # Panics
    /// If it is running.
    pub fn start(&self, node: usize) {
        self.0.start(node);
    }

    /// Takes the power from a node: its program is dropped (with its destructors) before anything
    /// else happens, its disk is left as `mode` says, and it stays down until it is started again.
    /// A node that is down already loses what its disk had not made durable.
    pub fn crash(&self, node: usize, mode: CrashMode) {
        self.0.crash(node, mode);
    }

    /// Stops a running node for a while, as a long garbage collection or a stopped virtual machine
    /// does: what reaches it waits, up to the size of its socket, and its wakes come late. Does
    /// nothing if the node is down or paused.
    pub fn pause(&self, node: usize) {
        self.0.pause(node);
    }

    /// Lets a paused node go on. Does nothing if it is not paused.
    pub fn resume(&self, node: usize) {
        self.0.resume(node);
    }

    /// Lets time pass until a control point or until `until_ns` (with everything that happens at
    /// that instant). With `u64::MAX`, until nothing is left to happen.
    ///
    /// # Panics
    /// If the world is already being pumped.
    pub async fn pump(&self, until_ns: u64) -> Stop {
        {
            let mut state = lock(&self.0.state);
            assert!(state.pump.is_none(), "one pump at a time");
            (state.until_ns, state.stop) = (until_ns.max(state.now_ns), None);
        }
        // A pump that is dropped in the middle leaves the baton where it is.
        let _end = OnDrop(|| lock(&self.0.state).pump = None);
        poll_fn(|context| self.0.poll_pump(context)).await
    }

    /// Makes [`World::pump`] return at `at_ns`, before anything else of that instant.
    pub fn schedule_control(&self, at_ns: u64, id: u64) {
        lock(&self.0.state).schedule_control(at_ns, id);
    }

    /// Gives the node an [`Arrival::Command`] at `at_ns`; it is lost if the node is down then.
    pub fn schedule_command(&self, at_ns: u64, node: usize, id: u64) {
        lock(&self.0.state).schedule_command(at_ns, node, id);
    }

    /// Adds a cut to a directed link: what arrives there is dropped. Cuts are counted.
    pub fn cut(&self, from: usize, to: usize) {
        lock(&self.0.state).wires.cut(from, to, 1);
    }

    /// Takes one cut away.
    ///
    /// # Panics
    /// If there is none.
    pub fn uncut(&self, from: usize, to: usize) {
        lock(&self.0.state).wires.cut(from, to, -1);
    }

    /// Adds a jam to a directed link: what arrives there is held. Jams are counted.
    pub fn jam(&self, from: usize, to: usize) {
        lock(&self.0.state).wires.jam(from, to);
    }

    /// Takes one jam away; after the last one, what was held arrives within a millisecond.
    ///
    /// # Panics
    /// If there is none.
    pub fn unjam(&self, from: usize, to: usize) {
        lock(&self.0.state).unjam(from, to);
    }

    /// Changes latency and quality of links from now on. Loss, bursts and corruption also change
    /// for what is under way; latency, duplication and reordering for what is sent from now on.
    ///
    /// # Panics
    /// If a link is left with impossible values.
    pub fn set_link_quality(&self, links: Links, change: impl FnMut(&mut Link)) {
        lock(&self.0.state).wires.edit(links, change);
    }

    /// The link from one node to another as it is now.
    pub fn link(&self, from: usize, to: usize) -> Link {
        *lock(&self.0.state).wires.config().link(from, to)
    }

    /// Changes what a node's disk is like, or switches its faults.
    pub fn edit_disk(&self, node: usize, change: impl FnOnce(&mut DiskConfig)) {
        self.0.with_disk(node, |disk| change(disk.config_mut()));
    }

    /// Lets a node's file grow no further than it is now; [`World::edit_disk`] makes room again.
    pub fn fill_disk(&self, node: usize) {
        self.0.with_disk(node, Disk::fill);
    }

    /// Flips that many bits of the durable contents of a node's disk.
    pub fn rot_disk(&self, node: usize, bits: u32) {
        self.0.with_disk(node, |disk| disk.rot(bits));
    }

    /// Replaces a node's disk by an empty one.
    ///
    /// # Panics
    /// If the node is running.
    pub fn lose_disk(&self, node: usize) {
        self.0.with_disk(node, Disk::lose);
    }

    /// A copy of a node's file, as its next process would find it.
    ///
    /// # Panics
    /// If the node is running.
    pub fn disk_image(&self, node: usize) -> Vec<u8> {
        let mut image = Vec::new();
        self.0.with_disk(node, |disk| image = disk.image());
        image
    }

    /// Gives a node's file these durable contents.
    ///
    /// # Panics
    /// If the node is running.
    pub fn set_disk_image(&self, node: usize, bytes: &[u8]) {
        self.0.with_disk(node, |disk| disk.install(bytes));
    }

    /// Changes the outgoing bandwidth of a node, also for what waits in its uplink.
    pub fn set_uplink(&self, node: usize, uplink: Option<Uplink>) {
        lock(&self.0.state).set_uplink(node, uplink);
    }

    /// Draws everything anew from now on: what happens later is one of the futures that this moment
    /// could have, chosen by `salt`. What is under way keeps the times that were drawn for it.
    pub fn draw_anew(&self, salt: u64) {
        lock(&self.0.state).draw_anew(salt);
    }

    /// Lets a node's clocks run fast (or slow, if negative) by so many parts per billion from now
    /// on. A timer that it waits for comes earlier or later.
    ///
    /// # Panics
    /// If the drift is beyond [`MAX_DRIFT_PPB`].
    pub fn set_clock_drift(&self, node: usize, drift_ppb: i32) {
        lock(&self.0.state).set_drift(node, drift_ppb);
    }

    /// Moves a node's wall clock.
    pub fn jump_wall_clock(&self, node: usize, by_ns: i64) {
        lock(&self.0.state).nodes[node].clock.jump(by_ns);
    }
}

/// Runs something at the end of a scope.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

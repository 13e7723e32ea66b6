//! The network as data: what each directed link and each uplink does to packets.
//!
//! The problem: a simulated network that draws a random delay and perhaps drops the packet is far
//! kinder than a real one. Real paths have their own medians and tails, lose packets in clumps, are
//! broken in one direction only, and share one uplink per machine.
//!
//! Our way: every ordered pair of nodes is a link of its own, with a latency and a quality; every
//! node may have an uplink, a queue that empties at its bandwidth. What happens to a packet is
//! decided in two moments. When it is *sent*, it gets its way: place in the uplink queue, latency,
//! reordering, a duplicate. When it *arrives*, the link decides what the packet meets there: a cut,
//! a jam, loss, corruption. So cutting a link kills what is in flight on it, and healing a link
//! heals it for what is in flight.
//!
//! This file is the configuration; `wires` decides.

mod burst;
mod latency;
mod uses;
mod wires;

pub use burst::Burst;
pub use latency::{FLOOR_NS, LIMIT_NS, Latency};
pub(super) use wires::{Arriving, Flight, Wires};

use super::rng::BILLION;

/// The largest number of nodes: node numbers take 16 bits of a packet's name.
pub const MAX_NODES: usize = 1 << 16;

/// What a directed link does to packets besides delaying them. Probabilities are in parts per
/// billion; the default does nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Probability of losing a packet, independently of all others.
    pub loss_ppb: u32,
    /// Loss in clumps.
    pub burst: Option<Burst>,
    /// Probability that a second copy travels, with a latency and a fate of its own.
    pub duplicate_ppb: u32,
    /// Probability that a packet is held back for up to `reorder_max_ns` more.
    pub reorder_ppb: u32,
    /// The longest extra delay of a reordered packet, in nanoseconds.
    pub reorder_max_ns: u64,
    /// Delays around certain lengths.
    pub hold: Option<Hold>,
    /// Probability that one bit of a packet arrives flipped.
    pub corrupt_ppb: u32,
    /// The longest packet that the link carries, in bytes.
    pub mtu_bytes: usize,
}

impl Default for Quality {
    fn default() -> Quality {
        Quality {
            loss_ppb: 0,
            burst: None,
            duplicate_ppb: 0,
            reorder_ppb: 0,
            reorder_max_ns: 0,
            hold: None,
            corrupt_ppb: 0,
            mtu_bytes: usize::MAX,
        }
    }
}

/// Packets that are held back for a time close to one of a few lengths, for instance those of the
/// timers of whoever waits for them: what comes just before a timer and what comes just after it
/// are the two cases that a uniform delay almost never tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Probability that a packet is held back.
    pub ppb: u32,
    /// The lengths, in nanoseconds; each is as likely as the others.
    pub around_ns: [u64; 8],
    /// How far from the length the delay may be, either way, in parts per billion of it.
    pub spread_ppb: u32,
}

impl Hold {
    /// The longest delay.
    fn longest_ns(&self) -> u64 {
        let longest = self.around_ns.iter().copied().max().unwrap_or(0);
        longest.saturating_add(self.spread_ns(longest))
    }

    fn spread_ns(&self, length_ns: u64) -> u64 {
        (u128::from(length_ns) * u128::from(self.spread_ppb) / u128::from(BILLION)) as u64
    }
}

/// One directed link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// How long packets travel.
    pub latency: Latency,
    /// What else happens to them.
    pub quality: Quality,
}

impl Link {
    /// The longest time that a packet travels on this link, in nanoseconds, without the wait in the
    /// sender's uplink.
    pub fn longest_ns(&self) -> u64 {
        let late = if self.quality.reorder_ppb > 0 { self.quality.reorder_max_ns } else { 0 };
        let held = self.quality.hold.map_or(0, |hold| hold.longest_ns());
        self.latency.longest_ns().saturating_add(late).saturating_add(held)
    }

    fn check(&self) {
        self.latency.check();
        let Quality { loss_ppb, burst, duplicate_ppb, reorder_ppb, corrupt_ppb, .. } = self.quality;
        let burst_ppb = burst.map_or(0, |burst| burst.loss_ppb);
        let (hold_ppb, spread_ppb) = self.quality.hold.map_or((0, 0), |h| (h.ppb, h.spread_ppb));
        let late_ppb = [reorder_ppb, hold_ppb, spread_ppb];
        for ppb in [loss_ppb, burst_ppb, duplicate_ppb, corrupt_ppb].into_iter().chain(late_ppb) {
            assert!(ppb <= BILLION, "a probability of {ppb} ppb is more than 1: {self:?}");
        }
        if let Some(burst) = burst {
            let shortest = burst.mean_burst_ns.min(burst.mean_gap_ns);
            assert!(shortest > 0, "bursts and gaps have a length: {burst:?}");
        }
        let longest =
            self.quality.reorder_max_ns.max(self.quality.hold.map_or(0, |h| h.longest_ns()));
        assert!(longest <= LIMIT_NS, "held back too long: {self:?}");
    }
}

/// The outgoing bandwidth of one node: a queue in front of all its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// How fast the queue empties; at least 1.
    pub bytes_per_second: u64,
    /// How many bytes may wait; a packet that does not fit is dropped.
    pub queue_bytes: u64,
}

/// How much a paused node can leave unread before its socket drops packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// The largest number of unread packets.
    pub packets: usize,
    /// The largest number of unread bytes.
    pub bytes: usize,
}

/// A selection of directed links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Every link, also those from a node to itself.
    All,
    /// The link from the first node to the second.
    One(usize, usize),
    /// All links that leave the node.
    From(usize),
    /// All links that lead to the node.
    To(usize),
}

/// The whole network at the start of a run.
#[derive(Clone, Debug)]
pub struct Network {
    nodes: usize,
    /// Row `from`, column `to`.
    links: Vec<Link>,
    /// One for each node; `None`: no limit.
    pub uplinks: Vec<Option<Uplink>>,
    /// Delivery times are rounded up to a multiple of this many nanoseconds. 1 is exact; a coarser
    /// grid is faster, because packets that arrive together are handled together.
    pub grid_ns: u64,
    /// The receive buffer of each node.
    pub socket: Socket,
    /// How many packets a jammed link holds before it drops further ones.
    pub jam_packets: usize,
}

impl Network {
    /// A network in which every link has the same latency.
    pub fn uniform(nodes: usize, latency: Latency) -> Network {
        Network::new(nodes, |_, _| latency)
    }

    /// A network of regions: node i is in region `region_of[i]`, and `one_way[a][b]` is the latency
    /// from region a to region b (`one_way[a][a]` within the region).
    ///
    /// # Panics
    /// If a region is not in the matrix.
    pub fn regions(region_of: &[usize], one_way: &[Vec<Latency>]) -> Network {
        Network::new(region_of.len(), |from, to| one_way[region_of[from]][region_of[to]])
    }

    fn new(nodes: usize, latency: impl Fn(usize, usize) -> Latency) -> Network {
        assert!((1..=MAX_NODES).contains(&nodes), "a network has 1 to {MAX_NODES} nodes");
        let link =
            |i: usize| Link { latency: latency(i / nodes, i % nodes), quality: Quality::default() };
        Network {
            nodes,
            links: (0..nodes * nodes).map(link).collect(),
            uplinks: vec![None; nodes],
            grid_ns: 1,
            socket: Socket { packets: 1 << 14, bytes: 8 << 20 },
            jam_packets: 1 << 16,
        }
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The link from one node to another.
    pub fn link(&self, from: usize, to: usize) -> &Link {
        &self.links[from * self.nodes + to]
    }

    /// Changes the selected links.
    ///
    /// # Panics
    /// If a link is left with a probability above 1 or percentiles out of order.
    pub fn edit(&mut self, links: Links, mut change: impl FnMut(&mut Link)) {
        let nodes = self.nodes;
        let (first, step, count) = match links {
            Links::All => (0, 1, nodes * nodes),
            Links::One(from, to) => (from * nodes + to, 1, 1),
            Links::From(node) => (node * nodes, 1, nodes),
            Links::To(node) => (node, nodes, nodes),
        };
        for link in self.links[first..].iter_mut().step_by(step).take(count) {
            change(link);
            link.check();
        }
    }

    /// The longest time that any packet between two different nodes travels, in nanoseconds: with
    /// reordering and the delivery grid, without the wait in an uplink. A plan is checked against
    /// the delay bound of the protocol with this.
    pub fn max_one_way_ns(&self) -> u64 {
        let between = |(i, link): (usize, &Link)| {
            if i / self.nodes == i % self.nodes { 0 } else { link.longest_ns() }
        };
        let longest = self.links.iter().enumerate().map(between).max().unwrap_or(0);
        longest.next_multiple_of(self.grid_ns.max(1))
    }

    fn check(&self) {
        self.links.iter().for_each(Link::check);
        assert_eq!(self.uplinks.len(), self.nodes, "one uplink entry for each node");
        assert!(self.grid_ns > 0, "the delivery grid is at least 1 ns");
        for uplink in self.uplinks.iter().flatten() {
            assert!(uplink.bytes_per_second > 0, "an uplink carries something: {uplink:?}");
        }
    }
}

#[cfg(test)]
mod tests;

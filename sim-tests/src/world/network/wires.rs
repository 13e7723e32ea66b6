//! Decides the fate of packets: their way when they leave, what they meet when they arrive.
//!
//! Both decisions come from one draw that is named by the packet: label as the stream; period, use
//! number, sender and receiver side by side as the position (`uses` says what the first two are).
//! The receiver is the lowest part, so the draws of one broadcast are neighbours. The word that
//! decides loss travels with the packet; the rarer rest is drawn again on arrival. A duplicate has
//! a random function of its own and the name of its original.
//!
//! On a delivery grid many packets share an instant. Their tie-breaks then begin with the turn of
//! the receiver at that instant, drawn for both, so that each node gets its packets in one piece
//! while the order of the nodes is still explored.

use super::burst::Cursor;
use super::latency::Quantiles;
use super::uses::Uses;
use super::{Hold, Link, Links, Network, Quality, Uplink};
use crate::world::Payload;
use crate::world::observe::Cause;
use crate::world::rng::{Draw, Draws};

/// Words of the draw of a packet.
const LATENCY: usize = 0;
const TIE: usize = 1;
const DUPLICATE: usize = 2;
const REORDER: usize = 3;
const HELD_BACK: usize = 4;
const LOSS: usize = 5;
const CORRUPT: usize = 6;
const BIT: usize = 7;

/// Packets held by a jam are released within this time after its end, in nanoseconds.
const RELEASE_WITHIN_NS: u64 = 1_000_000;

/// A packet on its way.
#[derive(Clone, Debug)]
pub(in crate::world) struct Flight<P> {
    pub from: u16,
    pub to: u16,
    /// Period and number of this use of the label (`uses`).
    pub use_number: u32,
    pub label: u64,
    /// Decides whether it is lost.
    pub luck: u64,
    /// The second copy of a duplicated packet.
    pub copy: bool,
    /// When its last byte leaves the sender's uplink.
    pub leaves_ns: u64,
    pub payload: P,
}

/// When a flight arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::world) struct Arrival {
    pub at_ns: u64,
    pub tie: u64,
}

/// A change of the rate at which an uplink empties.
#[derive(Clone, Copy, Debug)]
pub(in crate::world) struct Hurry {
    node: usize,
    now_ns: u64,
    /// Bytes per second.
    old_rate: u64,
    /// None: no limit.
    new_rate: Option<u64>,
}

impl Hurry {
    /// When that leaves which would have left at `leaves_ns`: after the same number of bytes.
    fn leaves(&self, leaves_ns: u64) -> u64 {
        let waits = u128::from(leaves_ns - self.now_ns) * u128::from(self.old_rate);
        let waits = self.new_rate.map_or(0, |rate| waits.div_ceil(u128::from(rate)));
        self.now_ns.saturating_add(u64::try_from(waits).unwrap_or(u64::MAX))
    }
}

/// What a flight meets at its end.
pub(in crate::world) enum Arriving {
    /// Nothing, or a flipped bit.
    Delivered {
        /// A bit of the payload has been flipped.
        corrupted: bool,
    },
    /// It is gone.
    Dropped(Cause),
    /// The link is jammed and now holds it.
    Held,
}

/// What faults are active on a link.
struct Road<P> {
    cuts: u32,
    jams: u32,
    held: Vec<Flight<P>>,
    burst: Option<Cursor>,
}

/// The running network.
pub(in crate::world) struct Wires<P> {
    config: Network,
    quantiles: Quantiles,
    uses: Uses,
    roads: Vec<Road<P>>,
    /// Links on which nothing can happen to an arriving packet: small enough to stay in the cache,
    /// which the roads are not.
    clear: Vec<bool>,
    /// When the uplink of each node has sent all it holds.
    uplink_free_ns: Vec<u64>,
    draws: NetworkDraws,
}

/// Everything that the network draws.
struct NetworkDraws {
    packet: Draws,
    copy: Draws,
    burst: Draws,
    release: Draws,
    hold: Draws,
    turn_key: u64,
}

impl NetworkDraws {
    fn new(seed: u64) -> NetworkDraws {
        NetworkDraws {
            packet: Draws::new(seed, "packet"),
            copy: Draws::new(seed, "packet copy"),
            burst: Draws::new(seed, "burst"),
            release: Draws::new(seed, "release"),
            hold: Draws::new(seed, "hold"),
            turn_key: Draws::new(seed, "turn").draw(0, 0).word(0),
        }
    }
}

impl<P: Payload> Wires<P> {
    pub(in crate::world) fn new(seed: u64, config: Network) -> Wires<P> {
        config.check();
        let road = |_| Road { cuts: 0, jams: 0, held: Vec::new(), burst: None };
        let mut wires = Wires {
            clear: vec![true; config.links.len()],
            quantiles: Quantiles::new(),
            uses: Uses::new(config.nodes),
            roads: (0..config.links.len()).map(road).collect(),
            uplink_free_ns: vec![0; config.nodes],
            draws: NetworkDraws::new(seed),
            config,
        };
        (0..wires.clear.len()).for_each(|index| wires.look(index));
        wires
    }

    /// Draws from another seed from now on. A burst that has begun keeps its end.
    pub(in crate::world) fn draw_anew(&mut self, seed: u64) {
        self.draws = NetworkDraws::new(seed);
    }

    pub(in crate::world) fn config(&self) -> &Network {
        &self.config
    }

    pub(in crate::world) fn edit(&mut self, links: Links, change: impl FnMut(&mut Link)) {
        self.config.edit(links, change);
        (0..self.clear.len()).for_each(|index| self.look(index));
    }

    /// Looks again whether anything can happen to packets that arrive on a link.
    fn look(&mut self, index: usize) {
        let (road, quality) = (&self.roads[index], &self.config.links[index].quality);
        self.clear[index] = road.cuts == 0
            && road.jams == 0
            && quality.loss_ppb == 0
            && quality.burst.is_none()
            && quality.corrupt_ppb == 0;
    }

    /// A packet leaves: names it, and calls `arrives` for it and for its duplicate if it has one.
    /// An error if it never leaves the sender.
    pub(in crate::world) fn send(
        &mut self,
        now_ns: u64,
        mut flight: Flight<P>,
        mut arrives: impl FnMut(Arrival, Flight<P>),
    ) -> Result<(), (Flight<P>, Cause)> {
        let (from, to) = (usize::from(flight.from), usize::from(flight.to));
        // Counted first: whether a packet fits must not rename the next one.
        flight.use_number = self.uses.next(now_ns, from, to, flight.label);
        let bytes = flight.payload.len();
        let quality = &self.config.link(from, to).quality;
        let (mtu_bytes, duplicate_ppb) = (quality.mtu_bytes, quality.duplicate_ppb);
        if bytes > mtu_bytes {
            return Err((flight, Cause::Mtu));
        }
        let Some(leaves_ns) = self.queue(now_ns, from, to, bytes) else {
            return Err((flight, Cause::Uplink));
        };
        flight.leaves_ns = leaves_ns;
        let draw = self.draw(&flight);
        if draw.happens(DUPLICATE, duplicate_ppb) {
            let mut copy = Flight { copy: true, ..flight.clone() };
            let copy_draw = self.draw(&copy);
            copy.luck = copy_draw.word(LOSS);
            arrives(self.way(&copy, copy_draw), copy);
        }
        flight.luck = draw.word(LOSS);
        arrives(self.way(&flight, draw), flight);
        Ok(())
    }

    /// Changes the outgoing bandwidth of a node. What waits in its uplink leaves at the new rate
    /// too: a queue that filled at a trickle would otherwise block the node long after the trickle
    /// has become a stream again. Returns how to move what is under way, or nothing if none waits.
    pub(in crate::world) fn set_uplink(
        &mut self,
        now_ns: u64,
        node: usize,
        uplink: Option<Uplink>,
    ) -> Option<Hurry> {
        let old = std::mem::replace(&mut self.config.uplinks[node], uplink);
        let old_rate = old?.bytes_per_second;
        let new_rate = uplink.map(|uplink| uplink.bytes_per_second);
        let hurry = Hurry { node, now_ns, old_rate, new_rate };
        let free_ns = self.uplink_free_ns[node];
        if free_ns <= now_ns || new_rate == Some(old_rate) {
            return None;
        }
        self.uplink_free_ns[node] = hurry.leaves(free_ns);
        Some(hurry)
    }

    /// When a packet that waits in an uplink arrives after all; nothing if it does not wait there.
    pub(in crate::world) fn hurried(
        &mut self,
        hurry: Hurry,
        flight: &mut Flight<P>,
    ) -> Option<Arrival> {
        if usize::from(flight.from) != hurry.node || flight.leaves_ns <= hurry.now_ns {
            return None;
        }
        flight.leaves_ns = hurry.leaves(flight.leaves_ns);
        let draw = self.draw(flight);
        Some(self.way(flight, draw))
    }

    /// Waits in the uplink of the sender. Returns when the last byte has left, or nothing if the
    /// queue is full.
    fn queue(&mut self, now_ns: u64, from: usize, to: usize, bytes: usize) -> Option<u64> {
        let Some(uplink) = self.config.uplinks[from].filter(|_| from != to) else {
            return Some(now_ns);
        };
        let free_ns = self.uplink_free_ns[from].max(now_ns);
        let rate = u128::from(uplink.bytes_per_second);
        let waiting = u128::from(free_ns - now_ns) * rate / 1_000_000_000;
        if waiting + bytes as u128 > u128::from(uplink.queue_bytes) {
            return None;
        }
        let takes_ns = (bytes as u128 * 1_000_000_000).div_ceil(rate);
        self.uplink_free_ns[from] = free_ns + takes_ns as u64;
        Some(self.uplink_free_ns[from])
    }

    /// Arrival time and tie-break of a packet.
    fn way(&mut self, flight: &Flight<P>, draw: Draw) -> Arrival {
        let Link { latency, quality } = self.config.links[self.index(flight)];
        let mut at_ns = flight.leaves_ns + self.quantiles.delay(latency, draw.word(LATENCY));
        if draw.happens(REORDER, quality.reorder_ppb) {
            at_ns += draw.below(HELD_BACK, quality.reorder_max_ns);
        }
        if let Some(hold) = quality.hold {
            at_ns += self.held_ns(hold, flight);
        }
        self.on_grid(at_ns, flight.to, draw.word(TIE))
    }

    /// How long a packet is held back on a link that does so.
    fn held_ns(&mut self, hold: Hold, flight: &Flight<P>) -> u64 {
        let (stream, position) = name(flight);
        let draw = self.draws.hold.draw(stream, position);
        // A duplicate has the name of its original: other words for it.
        let first = if flight.copy { 4 } else { 0 };
        if !draw.happens(first, hold.ppb) {
            return 0;
        }
        let around_ns = hold.around_ns[draw.below(first + 1, 8) as usize];
        let spread_ns = hold.spread_ns(around_ns);
        around_ns - spread_ns + draw.below(first + 2, 2 * spread_ns)
    }

    fn on_grid(&self, at_ns: u64, to: u16, tie: u64) -> Arrival {
        if self.config.grid_ns == 1 {
            return Arrival { at_ns, tie };
        }
        let at_ns = at_ns.next_multiple_of(self.config.grid_ns);
        let turn = mix(mix(self.draws.turn_key ^ at_ns) ^ u64::from(to));
        Arrival { at_ns, tie: turn & !u64::from(u32::MAX) | tie >> 32 }
    }

    /// Decides what a packet meets at its end. A held packet is taken; all others are left, with a
    /// bit flipped where corruption says so.
    pub(in crate::world) fn arrive(&mut self, now_ns: u64, flight: &mut Flight<P>) -> Arriving {
        let index = self.index(flight);
        if self.clear[index] {
            return Arriving::Delivered { corrupted: false };
        }
        let road = &mut self.roads[index];
        if road.cuts > 0 {
            return Arriving::Dropped(Cause::Cut);
        }
        if road.jams > 0 {
            if road.held.len() >= self.config.jam_packets {
                return Arriving::Dropped(Cause::Jam);
            }
            road.held.push(flight.clone());
            return Arriving::Held;
        }
        let quality = self.config.links[index].quality;
        let luck = Draw([flight.luck; 8]);
        if let Some(shape) = quality.burst {
            let link = index as u64;
            let old = self.roads[index].burst.take();
            let mut cursor = Cursor::resume(old, shape, link, &mut self.draws.burst);
            let inside = cursor.covers(now_ns, link, &mut self.draws.burst);
            self.roads[index].burst = Some(cursor);
            if inside && luck.happens(LOSS, shape.loss_ppb) {
                return Arriving::Dropped(Cause::Burst);
            }
        }
        if luck.happens(LOSS, quality.loss_ppb) {
            return Arriving::Dropped(Cause::Loss);
        }
        Arriving::Delivered { corrupted: quality.corrupt_ppb > 0 && self.corrupt(flight, quality) }
    }

    fn corrupt(&mut self, flight: &mut Flight<P>, quality: Quality) -> bool {
        let draw = self.draw(flight);
        let bits = flight.payload.len() as u64 * 8;
        let corrupted = bits > 0 && draw.happens(CORRUPT, quality.corrupt_ppb);
        if corrupted {
            flight.payload = flight.payload.flip_bit(draw.below(BIT, bits));
        }
        corrupted
    }

    /// Adds (`by` = 1) or takes away (`by` = -1) a cut.
    pub(in crate::world) fn cut(&mut self, from: usize, to: usize, by: i32) {
        let index = from * self.config.nodes + to;
        let cuts = &mut self.roads[index].cuts;
        *cuts = cuts.checked_add_signed(by).expect("uncut without a cut before");
        self.look(index);
    }

    /// Adds a jam.
    pub(in crate::world) fn jam(&mut self, from: usize, to: usize) {
        let index = from * self.config.nodes + to;
        self.roads[index].jams += 1;
        self.look(index);
    }

    /// Takes a jam away. Returns what the link held if that was the last one, with the times and
    /// tie-breaks of the release.
    pub(in crate::world) fn unjam(
        &mut self,
        now_ns: u64,
        from: usize,
        to: usize,
    ) -> Vec<(Arrival, Flight<P>)> {
        let index = from * self.config.nodes + to;
        let road = &mut self.roads[index];
        road.jams = road.jams.checked_sub(1).expect("unjam without a jam before");
        let held = if road.jams == 0 { std::mem::take(&mut road.held) } else { Vec::new() };
        self.look(index);
        held.into_iter().map(|flight| self.release(now_ns, flight)).collect()
    }

    fn release(&mut self, now_ns: u64, flight: Flight<P>) -> (Arrival, Flight<P>) {
        let (stream, position) = name(&flight);
        let draw = self.draws.release.draw(stream, position);
        // A duplicate has the name of its original: other words for it.
        let word = if flight.copy { 2 } else { 0 };
        let at_ns = now_ns + draw.below(word, RELEASE_WITHIN_NS);
        (self.on_grid(at_ns, flight.to, draw.word(word + 1)), flight)
    }

    fn index(&self, flight: &Flight<P>) -> usize {
        usize::from(flight.from) * self.config.nodes + usize::from(flight.to)
    }

    #[inline]
    fn draw(&mut self, flight: &Flight<P>) -> Draw {
        let (stream, position) = name(flight);
        let draws = if flight.copy { &mut self.draws.copy } else { &mut self.draws.packet };
        draws.draw(stream, position)
    }
}

/// The name of a packet: stream and position of its draw.
#[inline]
fn name<P>(flight: &Flight<P>) -> (u64, u64) {
    let position =
        u64::from(flight.use_number) << 32 | u64::from(flight.from) << 16 | u64::from(flight.to);
    (flight.label, position)
}

/// Spreads the bits of a word over all of it.
fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let word = (word ^ word >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    word ^ word >> 32
}

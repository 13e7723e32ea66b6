//! Decides the fate of packets: their way when they leave, what they meet when they arrive.
//!
//! Both decisions come from one draw that is named by the packet: label as the stream; period, use
//! number, sender and receiver side by side as the position (`uses` says what the first two are).
//! The receiver is the lowest part, so the draws of one broadcast are neighbours. The draw at
//! arrival is the same draw again, other words of it: nothing has to be remembered in between. A
//! duplicate has a random function of its own and the name of its original.

use super::burst::Cursor;
use super::latency::Quantiles;
use super::uses::Uses;
use super::{Link, Links, Network};
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
    /// The second copy of a duplicated packet.
    pub copy: bool,
    pub payload: P,
}

/// Where and when a flight arrives.
pub(in crate::world) struct Sending {
    /// Arrival and tie-break of the packet.
    pub first: (u64, u64),
    /// The same for its duplicate.
    pub second: Option<(u64, u64)>,
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
    /// When the uplink of each node has sent all it holds.
    uplink_free_ns: Vec<u64>,
    packet_draws: Draws,
    copy_draws: Draws,
    burst_draws: Draws,
    release_draws: Draws,
}

impl<P: Payload> Wires<P> {
    pub(in crate::world) fn new(seed: u64, config: Network) -> Wires<P> {
        config.check();
        let road = |_| Road { cuts: 0, jams: 0, held: Vec::new(), burst: None };
        Wires {
            quantiles: Quantiles::new(),
            uses: Uses::new(config.nodes),
            roads: (0..config.links.len()).map(road).collect(),
            uplink_free_ns: vec![0; config.nodes],
            packet_draws: Draws::new(seed, "packet"),
            copy_draws: Draws::new(seed, "packet copy"),
            burst_draws: Draws::new(seed, "burst"),
            release_draws: Draws::new(seed, "release"),
            config,
        }
    }

    pub(in crate::world) fn config(&self) -> &Network {
        &self.config
    }

    pub(in crate::world) fn edit(&mut self, links: Links, change: impl FnMut(&mut Link)) {
        self.config.edit(links, change);
    }

    /// Names a packet and decides its way; an error if it never leaves the sender.
    pub(in crate::world) fn send(
        &mut self,
        now_ns: u64,
        flight: &mut Flight<P>,
    ) -> Result<Sending, Cause> {
        let (from, to) = (usize::from(flight.from), usize::from(flight.to));
        // Counted first: whether a packet fits must not rename the next one.
        flight.use_number = self.uses.next(now_ns, from, to, flight.label);
        let bytes = flight.payload.len();
        if bytes > self.config.link(from, to).quality.mtu_bytes {
            return Err(Cause::Mtu);
        }
        let leaves_ns = self.queue(now_ns, from, to, bytes)?;
        let draw = self.draw(flight);
        let first = self.way(leaves_ns, flight, draw);
        let duplicated = draw.happens(DUPLICATE, self.link(flight).quality.duplicate_ppb);
        let second = duplicated.then(|| {
            let (stream, position) = name(flight);
            let copy = self.copy_draws.draw(stream, position);
            self.way(leaves_ns, flight, copy)
        });
        Ok(Sending { first, second })
    }

    /// Waits in the uplink of the sender. Returns when the last byte has left.
    fn queue(&mut self, now_ns: u64, from: usize, to: usize, bytes: usize) -> Result<u64, Cause> {
        let Some(uplink) = self.config.uplinks[from].filter(|_| from != to) else {
            return Ok(now_ns);
        };
        let free_ns = self.uplink_free_ns[from].max(now_ns);
        let rate = u128::from(uplink.bytes_per_second);
        let waiting = u128::from(free_ns - now_ns) * rate / 1_000_000_000;
        if waiting + bytes as u128 > u128::from(uplink.queue_bytes) {
            return Err(Cause::Uplink);
        }
        let takes_ns = (bytes as u128 * 1_000_000_000).div_ceil(rate);
        self.uplink_free_ns[from] = free_ns + takes_ns as u64;
        Ok(self.uplink_free_ns[from])
    }

    /// Arrival time and tie-break of a packet that leaves at `leaves_ns`.
    fn way(&self, leaves_ns: u64, flight: &Flight<P>, draw: Draw) -> (u64, u64) {
        let Link { latency, quality } = self.link(flight);
        let mut arrives_ns = leaves_ns + self.quantiles.delay(*latency, draw.word(LATENCY));
        if draw.happens(REORDER, quality.reorder_ppb) {
            arrives_ns += draw.below(HELD_BACK, quality.reorder_max_ns);
        }
        if self.config.grid_ns > 1 {
            arrives_ns = arrives_ns.next_multiple_of(self.config.grid_ns);
        }
        (arrives_ns, draw.word(TIE))
    }

    /// Decides what a packet meets at its end. A held packet is taken; all others are left, with a
    /// bit flipped where corruption says so.
    pub(in crate::world) fn arrive(&mut self, now_ns: u64, flight: &mut Flight<P>) -> Arriving {
        let index = self.index(flight);
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
        if quality.loss_ppb == 0 && quality.burst.is_none() && quality.corrupt_ppb == 0 {
            return Arriving::Delivered { corrupted: false };
        }
        let draw = self.draw(flight);
        if let Some(shape) = quality.burst {
            let link = index as u64;
            let old = self.roads[index].burst.take();
            let mut cursor = Cursor::resume(old, shape, link, &mut self.burst_draws);
            let inside = cursor.covers(now_ns, link, &mut self.burst_draws);
            self.roads[index].burst = Some(cursor);
            if inside && draw.happens(LOSS, shape.loss_ppb) {
                return Arriving::Dropped(Cause::Burst);
            }
        }
        if draw.happens(LOSS, quality.loss_ppb) {
            return Arriving::Dropped(Cause::Loss);
        }
        let bits = flight.payload.len() as u64 * 8;
        let corrupted = bits > 0 && draw.happens(CORRUPT, quality.corrupt_ppb);
        if corrupted {
            flight.payload = flight.payload.flip_bit(draw.below(BIT, bits));
        }
        Arriving::Delivered { corrupted }
    }

    /// Adds a cut.
    pub(in crate::world) fn cut(&mut self, from: usize, to: usize) {
        self.road(from, to).cuts += 1;
    }

    /// Takes a cut away.
    pub(in crate::world) fn uncut(&mut self, from: usize, to: usize) {
        let cuts = &mut self.road(from, to).cuts;
        *cuts = cuts.checked_sub(1).expect("uncut without a cut before");
    }

    /// Adds a jam.
    pub(in crate::world) fn jam(&mut self, from: usize, to: usize) {
        self.road(from, to).jams += 1;
    }

    /// Takes a jam away. Returns what the link held if that was the last one, with the times and
    /// tie-breaks of the release.
    pub(in crate::world) fn unjam(
        &mut self,
        now_ns: u64,
        from: usize,
        to: usize,
    ) -> Vec<(u64, u64, Flight<P>)> {
        let road = self.road(from, to);
        road.jams = road.jams.checked_sub(1).expect("unjam without a jam before");
        if road.jams > 0 {
            return Vec::new();
        }
        let held = std::mem::take(&mut road.held);
        held.into_iter()
            .map(|flight| {
                let (stream, position) = name(&flight);
                let draw = self.release_draws.draw(stream, position);
                let after = draw.below(0, RELEASE_WITHIN_NS);
                // A duplicate has the name of its original: another word for its tie-break.
                let tie = draw.word(if flight.copy { 2 } else { 1 });
                ((now_ns + after).next_multiple_of(self.config.grid_ns), tie, flight)
            })
            .collect()
    }

    fn road(&mut self, from: usize, to: usize) -> &mut Road<P> {
        &mut self.roads[from * self.config.nodes + to]
    }

    fn index(&self, flight: &Flight<P>) -> usize {
        usize::from(flight.from) * self.config.nodes + usize::from(flight.to)
    }

    fn link(&self, flight: &Flight<P>) -> &Link {
        &self.config.links[self.index(flight)]
    }

    #[inline]
    fn draw(&mut self, flight: &Flight<P>) -> Draw {
        let (stream, position) = name(flight);
        let draws = if flight.copy { &mut self.copy_draws } else { &mut self.packet_draws };
        draws.draw(stream, position)
    }
}

/// The name of a packet: stream and position of its draw.
#[inline]
fn name<P>(flight: &Flight<P>) -> (u64, u64) {
    let position = u64::from(flight.use_number) << 32
        | u64::from(flight.from) << 16
        | u64::from(flight.to);
    (flight.label, position)
}

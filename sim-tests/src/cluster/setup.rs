//! From a concrete plan to keys, a genesis and a world.
//!
//! Everything follows from (plan, seed). The cluster id depends on the seed, so each seed has its
//! own leader schedule and relays; the keys depend on it too, but the id does not depend on the
//! keys, so the same seed has the same schedule with real and with null signatures.

use super::datagram::Packet;
use crate::plan::{Concrete, Crypto, Nanos, STRADDLE_SPREAD, straddled};
use crate::world::network::{Burst, Hold, Latency, Links, Network, Quality, Uplink};
use crate::world::{ClockConfig, Config, WALL_START_NS, World, disk::DiskConfig};
use alpenglow_node::crypto::{Hash, Scheme};
use alpenglow_node::host::keys::Keys;
use alpenglow_node::protocol::committee::{Committee, Genesis};
use alpenglow_node::protocol::params::Params;
use std::sync::Arc;

/// Bytes that an uplink queues before it drops: a tenth of a second at its rate, at least 256 KiB
/// (two seconds at 1 Mbps: what slow links have, and no more, or a collapse would only be a delay).
fn queue_bytes(bytes_per_second: u64) -> u64 {
    (bytes_per_second / 10).max(1 << 18)
}

/// The secret keys of `node`.
pub fn keys(plan: &Concrete, seed: u64, node: u16) -> Keys {
    let secret = Hash::of("sim/key", &[&seed.to_le_bytes(), &node.to_le_bytes()]);
    Keys::from_seed(scheme(plan), &secret.0)
}

fn scheme(plan: &Concrete) -> Scheme {
    match plan.crypto {
        Crypto::Bls => Scheme::Bls,
        Crypto::Null => Scheme::Null,
    }
}

/// The genesis parameters in the node's own type.
pub fn params(plan: &Concrete) -> Params {
    let p = &plan.params;
    Params {
        delta_ns: p.delta.0,
        delta_block_ns: p.delta_block.0,
        delta_timeout_ns: p.delta_timeout.0,
        delta_first_ns: p.delta_first.0,
        standstill_ns: p.standstill.0,
        standstill_poll_ns: p.standstill_poll.0,
        timeout_growth_permille: p.timeout_growth.0 / 1_000_000,
        timeout_cap_ns: p.timeout_cap.0,
        slice_interval_ns: p.slice_interval.0,
        max_slices: p.max_slices,
        epoch_slots: p.epoch_slots,
    }
}

/// The genesis of a run and its verified committee.
pub fn committee(plan: &Concrete, seed: u64) -> Arc<Committee> {
    let validators = (0u16..).zip(&plan.nodes);
    let genesis = Genesis {
        cluster: Hash::of("sim/cluster", &[&seed.to_le_bytes()]),
        start_unix_ns: WALL_START_NS,
        scheme: scheme(plan),
        params: params(plan),
        validators: validators
            .map(|(node, about)| keys(plan, seed, node).validator(about.stake))
            .collect(),
    };
    Arc::new(Committee::new(&genesis).expect("a checked plan makes a valid genesis"))
}

/// The world of a run, with all nodes down.
pub fn world(plan: &Concrete, seed: u64) -> World<Packet> {
    let nodes = plan.nodes.len();
    let mut network = Network::uniform(nodes, Latency { p50_ns: 0, p90_ns: 0 });
    for from in 0..nodes {
        for to in (0..nodes).filter(|&to| to != from) {
            let delay = plan.delay(from as u16, to as u16);
            let latency = Latency { p50_ns: delay.p50.0, p90_ns: delay.p90.0 };
            network.edit(Links::One(from, to), |link| link.latency = latency);
        }
    }
    network.edit(Links::All, |link| link.quality = base_quality(plan, false));
    network.uplinks = vec![plan.network.bandwidth.map(|rate| uplink(rate.0)); nodes];
    network.grid_ns = plan.network.grid.0.max(1);
    let disk = DiskConfig {
        sync_ns: plan.disk.sync.0,
        sync_jitter_ppm: plan.disk.sync_jitter.0 / 1_000,
        ..DiskConfig::default()
    };
    let clock = |node: &crate::plan::Node| ClockConfig {
        drift_ppb: node.clock_drift.0 as i32,
        wall_offset_ns: node.clock_offset.0,
    };
    let clocks = plan.nodes.iter().map(clock).collect();
    World::new(Config { seed, nodes, network, disk, clocks })
}

/// An uplink of this many bits per second.
pub fn uplink(bits_per_second: u64) -> Uplink {
    let bytes_per_second = (bits_per_second / 8).max(1);
    Uplink { bytes_per_second, queue_bytes: queue_bytes(bytes_per_second) }
}

/// What every link does without faults, before or after the heal.
pub fn base_quality(plan: &Concrete, healed: bool) -> Quality {
    let network = &plan.network;
    let until_heal = |share: crate::plan::Share| if healed { 0 } else { share.0 };
    let burst = network.bursts.filter(|_| !healed);
    Quality {
        loss_ppb: until_heal(network.loss),
        burst: burst.map(|b| self::burst(b.loss.0, b.length, b.gap)),
        duplicate_ppb: until_heal(network.duplication),
        reorder_ppb: network.reordering.map_or(0, |r| r.share.0),
        reorder_max_ns: network.reordering.map_or(0, |r| r.delay.0),
        hold: None,
        corrupt_ppb: until_heal(network.corruption),
        mtu_bytes: network.mtu.0 as usize,
    }
}

/// Delays that straddle the timers of the plan's protocol.
pub fn hold(plan: &Concrete, ppb: u32) -> Hold {
    let around_ns = straddled(&plan.params).map(|length| length.0);
    Hold { ppb, around_ns, spread_ppb: STRADDLE_SPREAD.0 }
}

/// A burst process.
pub fn burst(loss: u32, length: Nanos, gap: Nanos) -> Burst {
    Burst { loss_ppb: loss, mean_burst_ns: length.0, mean_gap_ns: gap.0 }
}

//! The network on its own: what it decides for single packets, without a world around it.

use super::wires::Arrival;
use super::*;
use crate::world::Payload;
use crate::world::observe::Cause;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Payload for Bytes {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn flip_bit(&self, bit: u64) -> Bytes {
        let mut bytes = self.0.clone();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        Bytes(bytes)
    }
}

const MS: u64 = 1_000_000;

fn calm(nodes: usize) -> Network {
    Network::uniform(nodes, Latency::with_jitter(10 * MS, 100_000))
}

fn wires(network: Network) -> Wires<Bytes> {
    Wires::new(7, network)
}

fn flight(from: u16, to: u16, label: u64, bytes: usize) -> Flight<Bytes> {
    let payload = Bytes(vec![0; bytes]);
    Flight { from, to, use_number: 0, label, luck: 0, copy: false, leaves_ns: 0, payload }
}

type Sent = Vec<(Arrival, Flight<Bytes>)>;

fn send(wires: &mut Wires<Bytes>, now_ns: u64, flight: Flight<Bytes>) -> Result<Sent, Cause> {
    let mut sent = Vec::new();
    let result = wires.send(now_ns, flight, |arrival, flight| sent.push((arrival, flight)));
    result.map(|()| sent).map_err(|(_, cause)| cause)
}

/// Sends one packet that has one copy, and lets it arrive.
fn travel(wires: &mut Wires<Bytes>, now_ns: u64, label: u64) -> (u64, Arriving) {
    let (arrival, mut flight) =
        send(wires, now_ns, flight(0, 1, label, 100)).expect("it fits").pop().expect("one");
    (arrival.at_ns, wires.arrive(arrival.at_ns, &mut flight))
}

fn dropped(arriving: &Arriving) -> Option<Cause> {
    match arriving {
        Arriving::Dropped(cause) => Some(*cause),
        _ => None,
    }
}

#[test]
fn the_way_of_a_packet_depends_on_its_name_only() {
    let way = |before: &[u64], from, to, label, network: Network| {
        let mut wires = wires(network);
        for label in before {
            send(&mut wires, 0, flight(1, 0, *label, 10)).expect("sent");
        }
        send(&mut wires, 5, flight(from, to, label, 10)).expect("sent")[0].0
    };
    let base = way(&[], 0, 1, 42, calm(4));
    assert_eq!(base, way(&[1, 2, 42, 42], 0, 1, 42, calm(4)), "other sends leave it alone");
    let mut lossy = calm(4);
    lossy.edit(Links::All, |link| link.quality.loss_ppb = BILLION / 2);
    lossy.edit(Links::From(0), |link| link.quality.duplicate_ppb = BILLION / 3);
    let mut wires_with_faults = wires(lossy);
    let sent = send(&mut wires_with_faults, 5, flight(0, 1, 42, 10)).expect("sent");
    assert!(sent.iter().any(|(arrival, _)| *arrival == base), "other faults leave it alone");
    for other in [(0, 2, 42), (2, 1, 42), (0, 1, 43)] {
        assert_ne!(base, way(&[], other.0, other.1, other.2, calm(4)), "{other:?}");
    }
    let mut wires = wires(calm(4));
    let first = send(&mut wires, 5, flight(0, 1, 42, 10)).expect("sent")[0].0;
    let second = send(&mut wires, 5, flight(0, 1, 42, 10)).expect("sent")[0].0;
    assert_eq!(first, base);
    assert_ne!(second, base, "the second use of a label is another packet");
}

#[test]
fn rates_are_near_their_figures() {
    let mut network = calm(2);
    network.edit(Links::All, |link| {
        link.quality.loss_ppb = BILLION / 10;
        link.quality.duplicate_ppb = BILLION / 20;
        link.quality.corrupt_ppb = BILLION / 25;
    });
    let mut wires = wires(network);
    let (mut lost, mut copies, mut corrupted, mut flipped) = (0, 0, 0, 0);
    for label in 0..20_000 {
        for (arrival, mut flight) in send(&mut wires, 0, flight(0, 1, label, 9)).expect("sent") {
            copies += usize::from(flight.copy);
            match wires.arrive(arrival.at_ns, &mut flight) {
                Arriving::Dropped(cause) => {
                    assert_eq!(cause, Cause::Loss);
                    lost += 1;
                }
                Arriving::Delivered { corrupted: bad } => {
                    let ones: u32 = flight.payload.0.iter().map(|byte| byte.count_ones()).sum();
                    assert_eq!(ones, u32::from(bad), "exactly one bit, exactly if it says so");
                    corrupted += usize::from(bad);
                    flipped |= flight.payload.0.iter().fold(0u32, |all, byte| all | *byte as u32);
                }
                Arriving::Held => panic!("no jam here"),
            }
        }
    }
    // Five sigma around 1,000 copies, 2,100 losses, and 4 % of 18,900.
    assert!((850..1_150).contains(&copies), "{copies} copies");
    assert!((1_880..2_320).contains(&lost), "{lost} lost");
    assert!((620..890).contains(&corrupted), "{corrupted} corrupted");
    assert_eq!(flipped, 0xFF, "any bit may flip");
}

#[test]
fn a_resent_packet_has_another_fate() {
    let mut network = calm(2);
    network.edit(Links::All, |link| link.quality.loss_ppb = BILLION / 2);
    let mut wires = wires(network);
    let fates: Vec<bool> =
        (0..64).map(|_| dropped(&travel(&mut wires, 0, 1).1).is_some()).collect();
    assert!(fates.contains(&true) && fates.contains(&false));
}

#[test]
fn cuts_jams_and_loss_are_decided_on_arrival_and_nest() {
    let mut wires = wires(calm(2));
    let (arrival, mut under_way) =
        send(&mut wires, 0, flight(0, 1, 1, 10)).expect("sent").pop().expect("one");
    wires.cut(0, 1, 1);
    wires.cut(0, 1, 1);
    wires.cut(0, 1, -1);
    let met = wires.arrive(arrival.at_ns, &mut under_way.clone());
    assert_eq!(dropped(&met), Some(Cause::Cut), "one of two cuts is still there");
    wires.cut(0, 1, -1);
    let met = wires.arrive(arrival.at_ns, &mut under_way);
    assert!(matches!(met, Arriving::Delivered { corrupted: false }));

    wires.jam(0, 1);
    wires.jam(0, 1);
    assert!(matches!(wires.arrive(50 * MS, &mut under_way), Arriving::Held));
    assert!(wires.unjam(60 * MS, 0, 1).is_empty(), "one of two jams is still there");
    let released = wires.unjam(70 * MS, 0, 1);
    assert_eq!(released.len(), 1);
    assert!((70 * MS..71 * MS).contains(&released[0].0.at_ns));

    wires.edit(Links::One(0, 1), |link| link.quality.loss_ppb = BILLION);
    assert_eq!(dropped(&wires.arrive(80 * MS, &mut under_way)), Some(Cause::Loss));
    wires.edit(Links::All, |link| link.quality.loss_ppb = 0);
    assert!(matches!(wires.arrive(80 * MS, &mut under_way), Arriving::Delivered { .. }));
}

#[test]
fn a_jam_has_an_end_of_room() {
    let mut network = calm(2);
    network.jam_packets = 3;
    let mut wires = wires(network);
    wires.jam(0, 1);
    let met: Vec<_> = (0..5).map(|label| dropped(&travel(&mut wires, 0, label).1)).collect();
    assert_eq!(met, [None, None, None, Some(Cause::Jam), Some(Cause::Jam)]);
    let released = wires.unjam(0, 0, 1);
    assert_eq!(released.len(), 3);
    assert!(!released.is_sorted_by_key(|(arrival, _)| arrival.at_ns), "the order is explored");
}

#[test]
fn the_uplink_is_a_queue_with_an_end() {
    let mut network = Network::uniform(3, Latency::with_jitter(MS, 0));
    // One byte a microsecond; room for 250 bytes.
    network.uplinks[0] = Some(Uplink { bytes_per_second: 1_000_000, queue_bytes: 250 });
    let mut wires = wires(network);
    let mut at = |now_ns, from, to| {
        send(&mut wires, now_ns, flight(from, to, 1, 100)).map(|sent| sent[0].0.at_ns)
    };
    assert_eq!(at(0, 0, 1), Ok(1_100_000));
    assert_eq!(at(0, 0, 2), Ok(1_200_000), "the queue is shared by all links");
    assert_eq!(at(0, 0, 1), Err(Cause::Uplink));
    assert_eq!(at(60_000, 0, 1), Ok(1_300_000), "60 bytes have left, 140 wait");
    assert_eq!(at(0, 1, 0), Ok(1_000_000), "others have no limit");
    assert_eq!(at(0, 0, 0), Ok(1_000_000), "a node talks to itself without its uplink");
    assert_eq!(at(10 * MS, 0, 1), Ok(11_100_000), "the queue has emptied");
}

/// What waits is a number of bytes: at another rate it leaves at another time.
#[test]
fn a_queue_empties_at_the_rate_of_now() {
    let slow = |bytes_per_second| Some(Uplink { bytes_per_second, queue_bytes: 1_000 });
    let arrivals_after = |change: Option<Uplink>| {
        let mut network = Network::uniform(2, Latency::with_jitter(MS, 0));
        network.uplinks[0] = slow(1_000);
        let mut wires = wires(network);
        let sent = [0, 1, 2].map(|label| send(&mut wires, 0, flight(0, 1, label, 100)).unwrap());
        // Half of the second packet has left.
        let hurry = wires.set_uplink(150 * MS, 0, change);
        let mut at = |(arrival, mut flight): (Arrival, Flight<Bytes>)| {
            let moved = hurry.and_then(|hurry| wires.hurried(hurry, &mut flight));
            moved.unwrap_or(arrival).at_ns / MS
        };
        let times: Vec<u64> = sent.into_iter().flatten().map(&mut at).collect();
        let next = send(&mut wires, 151 * MS, flight(0, 1, 9, 100)).unwrap();
        (times, next[0].0.at_ns / MS)
    };
    assert_eq!(arrivals_after(slow(1_000)), (vec![101, 201, 301], 401));
    assert_eq!(arrivals_after(slow(10_000)), (vec![101, 156, 166], 176));
    assert_eq!(arrivals_after(slow(500)), (vec![101, 251, 451], 651));
    assert_eq!(arrivals_after(None), (vec![101, 151, 151], 152));
}

#[test]
fn mtu_grid_reordering_and_their_bound() {
    let mut network = Network::uniform(2, Latency::with_jitter(10 * MS, 0));
    network.grid_ns = 3 * MS;
    network.edit(Links::One(0, 1), |link| {
        link.quality.mtu_bytes = 100;
        link.quality.reorder_ppb = BILLION / 2;
        link.quality.reorder_max_ns = 40 * MS;
    });
    assert_eq!(network.max_one_way_ns(), 51 * MS, "10 + 40, rounded up");
    let mut wires = wires(network);
    assert_eq!(send(&mut wires, 0, flight(0, 1, 1, 101)).unwrap_err(), Cause::Mtu);
    let times: Vec<u64> = (0..400).map(|label| travel(&mut wires, 0, label).0).collect();
    assert!(times.iter().all(|at| at % (3 * MS) == 0 && (12 * MS..=51 * MS).contains(at)));
    let held_back = times.iter().filter(|at| **at > 12 * MS).count();
    assert!((130..250).contains(&held_back), "{held_back} of 400, half of them beyond 2 ms");
    assert!(times.iter().any(|at| *at >= 45 * MS));
}

#[test]
fn on_a_grid_a_node_gets_its_packets_in_one_piece() {
    let mut network = calm(4);
    network.grid_ns = 100 * MS;
    let mut wires = wires(network);
    let mut order: Vec<(Arrival, u16)> = Vec::new();
    for label in 0..20 {
        for to in 1..4 {
            let sent = send(&mut wires, 0, flight(0, to, label, 9)).expect("sent");
            order.push((sent[0].0, to));
        }
    }
    order.sort_unstable_by_key(|(arrival, _)| (arrival.at_ns, arrival.tie));
    let mut nodes: Vec<u16> = order.iter().map(|(_, to)| *to).collect();
    nodes.dedup();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
}

#[test]
fn bursts_take_what_arrives_in_them() {
    let mut network = calm(2);
    let burst = Burst { loss_ppb: BILLION, mean_burst_ns: 20 * MS, mean_gap_ns: 80 * MS };
    network.edit(Links::One(0, 1), |link| link.quality.burst = Some(burst));
    let mut wires = wires(network);
    let fates: Vec<Option<Cause>> = (0..20_000)
        .map(|i| {
            let mut packet = flight(0, 1, i, 9);
            dropped(&wires.arrive(i * MS, &mut packet))
        })
        .collect();
    let lost = fates.iter().filter(|fate| **fate == Some(Cause::Burst)).count();
    let changes = fates.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // 20 s hold about 200 bursts: a fifth is lost, in about 400 changes of fate.
    assert!((3_000..5_000).contains(&lost), "{lost} lost");
    assert!((300..500).contains(&changes), "{changes} changes");
}

#[test]
fn regions_and_selections() {
    let near = Latency::with_jitter(MS, 0);
    let (out, back) = (Latency::with_jitter(30 * MS, 0), Latency::with_jitter(40 * MS, 0));
    let mut network = Network::regions(&[0, 1, 0], &[vec![near, out], vec![back, near]]);
    assert_eq!(network.link(0, 2).latency, near);
    assert_eq!(network.link(2, 1).latency, out);
    assert_eq!(network.link(1, 0).latency, back);
    assert_eq!(network.max_one_way_ns(), 40 * MS);
    for (links, expected) in
        [(Links::All, 9), (Links::One(2, 1), 1), (Links::From(1), 3), (Links::To(1), 3)]
    {
        let mut changed = network.clone();
        changed.edit(links, |link| link.quality.loss_ppb = 1);
        let hit = |from: usize, to: usize| changed.link(from, to).quality.loss_ppb == 1;
        let hits = (0..9).filter(|i| hit(i / 3, i % 3)).count();
        assert_eq!(hits, expected, "{links:?}");
        let member = match links {
            Links::From(node) => (0..3).all(|to| hit(node, to)),
            Links::To(node) => (0..3).all(|from| hit(from, node)),
            _ => hit(2, 1),
        };
        assert!(member, "{links:?}");
    }
    network.edit(Links::One(0, 0), |link| link.latency.p90_ns = 500 * MS);
    assert_eq!(network.max_one_way_ns(), 40 * MS, "a node's link to itself does not count");
}

#[test]
#[should_panic(expected = "more than 1")]
fn impossible_probabilities_are_refused() {
    calm(2).edit(Links::One(0, 1), |link| link.quality.loss_ppb = BILLION + 1);
}

/// A packet that is held comes a length later, give or take the spread; the others as ever.
#[test]
fn delays_straddle_their_lengths() {
    let around_ns =
        [100 * MS, 200 * MS, 400 * MS, 800 * MS, 1_000 * MS, 2_000 * MS, 3_000 * MS, 9_000 * MS];
    let hold = Hold { ppb: 500_000_000, around_ns, spread_ppb: 100_000_000 };
    let mut network = Network::uniform(2, Latency { p50_ns: MS, p90_ns: MS });
    network.edit(Links::All, |link| link.quality.hold = Some(hold));
    assert_eq!(network.max_one_way_ns(), 9_901 * MS);
    let mut wires = wires(network);
    let delays: Vec<u64> = (0..4_000).map(|label| travel(&mut wires, 0, label).0 - MS).collect();
    let near = |length: u64| {
        let spread = length / 10;
        let inside: Vec<u64> =
            delays.iter().copied().filter(|d| d.abs_diff(length) <= spread).collect();
        let before = inside.iter().filter(|delay| **delay < length).count();
        assert!(before * 3 > inside.len() && before * 3 < inside.len() * 2, "on both sides");
        inside.len()
    };
    let counts: Vec<usize> = around_ns.into_iter().map(near).collect();
    assert!(counts.iter().all(|count| (190..320).contains(count)), "{counts:?}");
    let prompt = delays.iter().filter(|delay| **delay == 0).count();
    assert_eq!(prompt + counts.iter().sum::<usize>(), 4_000);
}

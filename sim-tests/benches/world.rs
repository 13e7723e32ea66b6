//! Packets per CPU second through the whole world: queue, draws, runtime, inboxes.
//!
//! The load of a vote-heavy protocol: 100 nodes, each with three broadcasts of 200 bytes every
//! 400 ms, over links of 5 to 100 ms. The figures are CPU time of the process, not wall time, so a
//! busy machine changes them little. Run with `cargo bench -p sim-tests --features sim`.

use bytes::Bytes;
use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend, TableDefinition};
use sim_tests::trace::fingerprint::Fingerprint;
use sim_tests::world::disk::DiskConfig;
use sim_tests::world::network::{Latency, Links, Network};
use sim_tests::world::observe::Fingerprinter;
use sim_tests::world::rng::Draws;
use sim_tests::world::{Arrival, ClockConfig, Config, Payload, Port, World, run};
use std::process::Command;
use std::sync::{Arc, Mutex};

const NODES: usize = 100;
const PERIOD_NS: u64 = 400_000_000;
const BROADCASTS: u64 = 3;
const RUN_NS: u64 = 50_000_000_000;

#[derive(Clone)]
struct Vote(Bytes);

impl Payload for Vote {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn flip_bit(&self, bit: u64) -> Vote {
        let mut bytes = self.0.to_vec();
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        Vote(bytes.into())
    }
}

fn main() {
    // One process per run, here too.
    if let Ok(variant) = std::env::var("WORLD_BENCH") {
        return match variant.as_str() {
            "draws" => draws(),
            "fingerprint" => fingerprint(),
            "redb" => redb(),
            _ => broadcasts(&variant),
        };
    }
    let variants =
        ["draws", "fingerprint", "redb", "exact", "grid 100us", "grid 1ms", "lossy", "observed"];
    for variant in variants {
        let binary = std::env::current_exe().expect("a bench knows its own binary");
        let status = Command::new(binary).env("WORLD_BENCH", variant).status();
        assert!(status.is_ok_and(|status| status.success()), "{variant} failed");
    }
}

fn broadcasts(variant: &str) {
    let mut network = Network::uniform(NODES, Latency { p50_ns: 50_000_000, p90_ns: 70_000_000 });
    for from in 0..NODES {
        // Medians from 5 to 100 ms, all different.
        network.edit(Links::From(from), |link| {
            let p50_ns = 5_000_000 + from as u64 * 950_000;
            link.latency = Latency { p50_ns, p90_ns: p50_ns + p50_ns / 20 };
        });
    }
    match variant {
        "grid 100us" => network.grid_ns = 100_000,
        "grid 1ms" => network.grid_ns = 1_000_000,
        "lossy" => network.edit(Links::All, |link| {
            link.quality.loss_ppb = 1_000_000;
            link.quality.duplicate_ppb = 1_000_000;
        }),
        _ => {}
    }
    let disk = DiskConfig::default();
    let clocks = vec![ClockConfig::default(); NODES];
    let config = Config { seed: 1, nodes: NODES, network, disk, clocks };
    let observed = variant == "observed";
    let before = cpu_ns();
    let stats = run(1, move || async move {
        let world = World::<Vote>::new(config);
        let print =
            Fingerprinter::new(Fingerprint::new(NODES, 1_000), |vote: &Vote| u64::from(vote.0[0]));
        if observed {
            world.set_observer(Arc::new(Mutex::new(print)));
        }
        world.set_program(voter);
        (0..NODES).for_each(|node| world.start(node));
        world.pump(RUN_NS).await;
        world.stats()
    })
    .expect("nobody panics");
    let seconds = (cpu_ns() - before) as f64 / 1e9;
    println!(
        "{variant:>10}: {:.2} M packets in {seconds:.3} CPU s: {:.2} M/s",
        stats.delivered as f64 / 1e6,
        stats.delivered as f64 / 1e6 / seconds
    );
}

async fn voter(mut port: Port<Vote>) {
    let start = port.now_ns();
    let phase = start + PERIOD_NS * port.node() as u64 / NODES as u64;
    let (mut round, mut seen, mut arrivals) = (0, 0u64, Vec::new());
    loop {
        port.next(Some(phase + round * PERIOD_NS), &mut arrivals).await;
        for arrival in arrivals.drain(..) {
            match arrival {
                Arrival::Packet { payload, .. } => seen += u64::from(payload.0[1]),
                _ => {
                    for index in 0..BROADCASTS {
                        let vote = Vote(vec![round as u8; 200].into());
                        let label = round << 16 | index << 8 | seen & 1;
                        for to in (0..NODES).filter(|to| *to != port.node()) {
                            port.send(to, vote.clone(), label);
                        }
                    }
                    round += 1;
                }
            }
        }
    }
}

fn draws() {
    const COUNT: u64 = 2_000_000;
    for (name, neighbours) in [("alone", false), ("neighbours", true)] {
        let mut draws = Draws::new(1, "bench");
        let before = cpu_ns();
        let sum = (0..COUNT).fold(0u64, |sum, i| {
            let position = if neighbours { i } else { i * 4 };
            sum.wrapping_add(draws.draw(i >> 7, position).word(3))
        });
        let each = (cpu_ns() - before) as f64 / COUNT as f64;
        println!("{:>10}: {each:.1} ns a draw ({name}, {sum:016x})", "draws");
    }
}

fn fingerprint() {
    const COUNT: u64 = 10_000_000;
    let mut print = Fingerprint::new(NODES, 1_000);
    let before = cpu_ns();
    for i in 0..COUNT {
        print.event(i, (i * 31) as usize % NODES, 1, &[i % 7, i * 11, i * 13]);
    }
    let each = (cpu_ns() - before) as f64 / COUNT as f64;
    println!("{:>10}: {each:.1} ns an event of three words ({})", "print", print.hex());
}

const COMMITS: u64 = 20_000;

/// Commits of one vote: on redb's own memory backend, and on a simulated disk, one a millisecond.
fn redb() {
    let memory = open(InMemoryBackend::new());
    let before = cpu_ns();
    (0..COMMITS).for_each(|vote| commit(&memory, vote));
    let each = (cpu_ns() - before) as f64 / COMMITS as f64 / 1e3;
    println!("{:>10}: {each:.1} us a commit in memory", "redb");
    let before = cpu_ns();
    run(1, || async {
        let network = Network::uniform(1, Latency { p50_ns: 1_000_000, p90_ns: 1_000_000 });
        let (disk, clocks) = (DiskConfig::default(), vec![ClockConfig::default()]);
        let world = World::<Vote>::new(Config { seed: 1, nodes: 1, network, disk, clocks });
        world.set_program(|mut port: Port<Vote>| async move {
            let database = open(port.disk());
            let (start, mut arrivals) = (port.now_ns(), Vec::new());
            for vote in 0..COMMITS {
                port.next(Some(start + vote * 1_000_000), &mut arrivals).await;
                commit(&database, vote);
            }
        });
        world.start(0);
        world.pump(u64::MAX).await;
    })
    .expect("nobody panics");
    let each = (cpu_ns() - before) as f64 / COMMITS as f64 / 1e3;
    println!("{:>10}: {each:.1} us a commit on a simulated disk", "redb");
}

fn open(backend: impl StorageBackend) -> Database {
    let mut builder = Database::builder();
    builder.set_cache_size(1 << 20).create_with_backend(backend).expect("a database")
}

fn commit(database: &Database, vote: u64) {
    let transaction = database.begin_write().expect("a transaction");
    {
        let table = TableDefinition::<u64, &[u8]>::new("votes");
        let mut votes = transaction.open_table(table).expect("a table");
        votes.insert(vote, [7; 150].as_slice()).expect("an insert");
    }
    transaction.commit().expect("a commit");
}

/// User and system time of this process, in nanoseconds (10 ms steps).
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells CPU times");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields[i].parse::<u64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) * 10_000_000
}

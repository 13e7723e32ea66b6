//! What runs on a simulated machine: the product's node, from opening its disk to its driver.

use super::datagram::Packet;
use super::env::{SimEnv, Surroundings};
use super::load::{Loads, Turns};
use super::memory::MemoryDisk;
use super::points::Points;
use super::power::{Power, Step, Supply};
use super::recorder::Recorder;
use super::{Tamper, Wrap, setup};
use crate::byzantine::Adversary;
use crate::plan::{Concrete, Nanos};
use crate::workload::Workload;
use crate::world::{Arrival, Port, WALL_START_NS, World};
use alpenglow_node::host::driver::{Doorway, Driver};
use alpenglow_node::host::net::Link;
use alpenglow_node::host::store::{Identity, Store, StoreError};
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::machine::Config;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot, Time};
use alpenglow_node::protocol::vote::Vote;
use alpenglow_node::protocol::{Effect, Protocol, Restored};
use std::sync::{Arc, Mutex};

/// Cache of a simulated node's database.
const CACHE_BYTES: usize = 2 << 20;
const SECOND: u64 = 1_000_000_000;

/// Everything that a node needs besides its machine.
#[derive(Clone)]
pub struct Program {
    /// The world's plan.
    pub plan: Arc<Concrete>,
    /// The seed of the run.
    pub seed: u64,
    /// The verified genesis, shared by all nodes.
    pub committee: Arc<Committee>,
    /// Whom it tells what it observes.
    pub recorder: Arc<Mutex<Recorder>>,
    /// Its clients.
    pub workload: Arc<Workload>,
    /// How busy the machines are.
    pub loads: Loads,
    /// Where the power of a node fails.
    pub power: Option<Arc<Power>>,
    /// Who lies.
    pub adversary: Arc<Adversary>,
    /// What runs around the protocol.
    pub wrap: Option<Wrap>,
    /// What happens to what it finds in its store.
    pub tamper: Option<Tamper>,
}

fn identity(committee: &Committee, node: usize) -> Identity {
    Identity { cluster: committee.cluster(), node: NodeId(node as u16) }
}

/// Gives a node its empty, marked store, as `alpenglow genesis` does, before time 0.
pub fn install(world: &World<Packet>, committee: &Committee, node: usize) {
    let disk = MemoryDisk::default();
    Store::create(disk.clone(), &identity(committee, node), CACHE_BYTES)
        .expect("an empty disk takes a new store");
    disk.look(|bytes| world.set_disk_image(node, bytes));
}

/// What the disk of a node that is down holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskContent {
    /// The vote log; none if it is not whole.
    pub log: Option<Vec<Vote>>,
    /// The delivered blocks, in order; none if the disk cannot be read.
    pub ledger: Vec<BlockId>,
}

/// Looks at the disk of a node that is down.
pub fn image(world: &World<Packet>, committee: &Committee, node: usize) -> DiskContent {
    let copy = MemoryDisk::new(world.disk_image(node));
    match Store::open(copy, &identity(committee, node), CACHE_BYTES) {
        Ok((store, restored)) => {
            let ledger = store.ledger(Slot::GENESIS).into_iter().flatten();
            let log = restored.intact.then_some(restored.votes);
            DiskContent { log, ledger: ledger.map_while(Result::ok).collect() }
        }
        Err(_) => DiskContent { log: None, ledger: Vec::new() },
    }
}

/// Waits until the boot number is durable, or the disk has said that it never will be.
async fn boot_is_durable(port: &mut Port<Packet>) -> Result<(), StoreError> {
    let mut early = Vec::new();
    loop {
        port.next(None, &mut early).await;
        let done = early.drain(..).find_map(|arrival| match arrival {
            Arrival::Done { ticket: 0, result } => Some(result),
            _ => None,
        });
        if let Some(result) = done {
            return result.map_err(|fault| StoreError::from(std::io::Error::from(fault)));
        }
    }
}

impl Program {
    /// Opens the store of the node; none if it refuses to start on what is there.
    fn open(&self, port: &Port<Packet>) -> Option<(Store, Restored)> {
        let identity = identity(&self.committee, port.node());
        self.usable(port, Store::open(port.disk(), &identity, CACHE_BYTES))
    }

    /// What the store gave; none, and a note, if the plan spoilt this disk or makes it fail now.
    /// Every other disk holds what was durable, also one that failed before.
    fn usable<T>(&self, port: &Port<Packet>, given: Result<T, StoreError>) -> Option<T> {
        let node = port.node() as u16;
        let error = match given {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let mut recorder = self.recorder.lock().expect("the recorder does not panic");
        let now = Nanos(recorder.now_ns());
        if !self.plan.disk_fails(node, now) && !self.plan.spoils_disk(node, now) {
            drop(recorder);
            panic!("node {node} lost what was durable on its disk: {error}");
        }
        recorder.storage_error(NodeId(node), &error);
        recorder.measure.probe("start-refused");
        None
    }

    /// Runs one incarnation.
    pub async fn run(self, mut port: Port<Packet>) {
        let me = NodeId(port.node() as u16);
        let mut supply = Supply::new(&self.power, me.0);
        let Some((mut store, mut restored)) = self.open(&port) else { return };
        if let Some(tamper) = &self.tamper {
            tamper(me, &mut restored);
        }
        // The boot number must be durable before the first datagram leaves (1.2).
        let wall = port.wall_ns();
        let step = supply.begin();
        let boot = match step {
            Step::Taken => store.next_boot(wall / SECOND),
            Step::Fails | Step::Dark => Ok(0),
        };
        if step != Step::Taken || supply.end() {
            return port.call_control(me.index() as u64);
        }
        let Some(boot) = self.usable(&port, boot) else { return };
        port.flush_ticket(0);
        let flushed = boot_is_durable(&mut port).await;
        if self.usable(&port, flushed).is_none() {
            return;
        }
        let now = Time(port.now_ns());
        let until_start = WALL_START_NS.saturating_sub(wall);
        let config = Config {
            committee: self.committee.clone(),
            me,
            restored,
            start: Time(now.0 + until_start),
            boot,
        };
        let mut first: Vec<Effect> = Vec::new();
        let protocol = Protocol::new(config, now, &mut first);
        let node: Box<dyn Doorway> = match &self.wrap {
            Some(wrap) => wrap(me, protocol),
            None => Box::new(protocol),
        };
        let node = self.adversary.wrap(me, node);
        let keys = setup::keys(&self.plan, self.seed, me.0);
        let link = Link::new(&self.committee, me, keys.datagram(), boot);
        let link = link.expect("genesis keys are valid");
        let surroundings = Surroundings {
            cpu: self.plan.cpu.clone(),
            turns: Turns::new(self.loads.clone(), self.seed),
            points: Points::new(self.seed, self.plan.run.buggify, me.index(), port.incarnation()),
            supply,
        };
        let (recorder, workload) = (self.recorder.clone(), self.workload.clone());
        let env = SimEnv::new(port, store, recorder, workload, surroundings);
        Driver::new(env, node, me, self.committee, keys, link, first).run().await;
    }
}

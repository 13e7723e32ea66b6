//! What runs on a simulated machine: the product's node, from opening its disk to its driver.

use super::datagram::Packet;
use super::env::SimEnv;
use super::memory::MemoryDisk;
use super::recorder::Recorder;
use super::{Tamper, Wrap, setup};
use crate::byzantine::Adversary;
use crate::plan::Concrete;
use crate::workload::Workload;
use crate::world::{Arrival, Port, WALL_START_NS, World};
use alpenglow_node::host::driver::{Doorway, Driver};
use alpenglow_node::host::net::Link;
use alpenglow_node::host::store::{Identity, Store};
use alpenglow_node::protocol::committee::Committee;
use alpenglow_node::protocol::machine::Config;
use alpenglow_node::protocol::types::{BlockId, NodeId, Slot, Time};
use alpenglow_node::protocol::vote::Vote;
use alpenglow_node::protocol::{Effect, Protocol};
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
    world.set_disk_image(node, &disk.bytes());
}

/// What the disk of a crashed node holds: its vote log and its ledger.
pub fn image(
    world: &World<Packet>,
    committee: &Committee,
    node: usize,
) -> (Vec<Vote>, Vec<BlockId>) {
    let copy = MemoryDisk::new(world.disk_image(node));
    match Store::open(copy, &identity(committee, node), CACHE_BYTES) {
        Ok((store, restored)) => {
            let ledger = store.ledger(Slot::GENESIS).into_iter().flatten();
            (restored.votes, ledger.map_while(Result::ok).collect())
        }
        Err(_) => (Vec::new(), Vec::new()),
    }
}

impl Program {
    /// Runs one incarnation.
    pub async fn run(self, mut port: Port<Packet>) {
        let me = NodeId(port.node() as u16);
        let opened = Store::open(port.disk(), &identity(&self.committee, me.index()), CACHE_BYTES);
        let (mut store, mut restored) = opened.expect("a simulated disk keeps what was durable");
        if let Some(tamper) = &self.tamper {
            tamper(me, &mut restored);
        }
        // The boot number must be durable before the first datagram leaves (1.2).
        let wall = port.wall_ns();
        let boot = store.next_boot(wall / SECOND).expect("the disk takes a boot number");
        port.flush_ticket(0);
        let mut early = Vec::new();
        while !early.iter().any(|arrival| matches!(arrival, Arrival::Done { ticket: 0, .. })) {
            port.next(None, &mut early).await;
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
        let env = SimEnv::new(
            port,
            store,
            self.recorder.clone(),
            self.workload.clone(),
            self.plan.cpu.clone(),
        );
        Driver::new(env, node, me, self.committee, keys, link, first).run().await;
    }
}

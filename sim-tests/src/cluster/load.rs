//! How busy the processor of each node is, besides what it does itself.
//!
//! A starved process does not run slower, it runs later: after each batch of input it waits for
//! its next turn, and meets all that has arrived meanwhile at once. How long is drawn by name.

use crate::world::Port;
use crate::world::rng::Draws;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One entry for each node.
pub type Loads = Arc<[Load]>;

/// The load of one machine, as the faults set it.
#[derive(Debug, Default)]
pub struct Load {
    turn_ns: AtomicU64,
}

/// No load on any machine.
pub fn none(nodes: usize) -> Loads {
    (0..nodes).map(|_| Load::default()).collect()
}

impl Load {
    /// The longest time between two turns of a process; 0 for a machine with nothing else to do.
    pub fn set_turn(&self, turn_ns: u64) {
        self.turn_ns.store(turn_ns, Ordering::Relaxed);
    }
}

/// The waiting of one incarnation.
pub struct Turns {
    loads: Loads,
    draws: Draws,
    batches: u64,
}

impl Turns {
    /// Before the first batch.
    pub fn new(loads: Loads, seed: u64) -> Turns {
        Turns { loads, draws: Draws::new(seed, "starvation"), batches: 0 }
    }

    fn turn_ns<P: crate::world::Payload>(&self, port: &Port<P>) -> u64 {
        self.loads[port.node()].turn_ns.load(Ordering::Relaxed)
    }

    /// True if the process has to wait for its turns.
    pub fn are_rare<P: crate::world::Payload>(&self, port: &Port<P>) -> bool {
        self.turn_ns(port) > 0
    }

    /// The process has taken a batch: what comes next waits for its next turn.
    pub fn taken<P: crate::world::Payload>(&mut self, port: &Port<P>) {
        let turn_ns = self.turn_ns(port);
        if turn_ns > 0 {
            let name = (port.node() as u64) << 32 | u64::from(port.incarnation());
            port.work(self.draws.draw(name, self.batches).below(0, turn_ns));
        }
        self.batches += 1;
    }
}

//! The simulated world as the node's environment.
//!
//! The driver that runs here is the one that runs in production; this file is all that differs.
//! A commit runs at once against the simulated disk, where its writes are not durable yet; the
//! world says when they are, and a crash in between keeps what the disk model decides.

use super::datagram::Packet;
use super::load::Turns;
use super::points::Points;
use super::power::{Step, Supply};
use super::recorder::Recorder;
use crate::plan::Cpu;
use crate::workload::Workload;
use crate::world::{Arrival as Delivered, Port};
use alpenglow_node::host::driver::{Arrival, Env};
use alpenglow_node::host::net::{Datagram, Refused};
use alpenglow_node::host::store::{Store, StoreError};
use alpenglow_node::protocol::block::{Block, TransactionId};
use alpenglow_node::protocol::event::{Event, Origin};
use alpenglow_node::protocol::types::{NodeId, Time};
use alpenglow_node::protocol::{Query, Record};
use std::sync::{Arc, Mutex};

/// The machine around one incarnation.
pub struct Surroundings {
    /// What work costs.
    pub cpu: Cpu,
    /// How it gets the processor.
    pub turns: Turns,
    /// The fault points of the host.
    pub points: Points,
    /// Its power.
    pub supply: Supply,
}

/// One incarnation's view of the world.
pub struct SimEnv {
    port: Port<Packet>,
    node: NodeId,
    store: Store,
    recorder: Arc<Mutex<Recorder>>,
    workload: Arc<Workload>,
    inbox: Vec<Delivered<Packet>>,
    tickets: u64,
    cpu: Cpu,
    turns: Turns,
    points: Points,
    supply: Supply,
    /// What the store said at once; reported with the next arrivals.
    ready: Vec<Arrival>,
}

impl SimEnv {
    /// Puts an environment together.
    pub fn new(
        port: Port<Packet>,
        store: Store,
        recorder: Arc<Mutex<Recorder>>,
        workload: Arc<Workload>,
        surroundings: Surroundings,
    ) -> SimEnv {
        let node = NodeId(port.node() as u16);
        let (inbox, ready) = (Vec::new(), Vec::new());
        let Surroundings { cpu, turns, points, supply } = surroundings;
        SimEnv {
            port,
            node,
            store,
            recorder,
            workload,
            inbox,
            tickets: 0,
            cpu,
            turns,
            points,
            supply,
            ready,
        }
    }

    /// Takes a step of the node, unless its power fails before it. If it fails here, the run takes
    /// it down before anything else happens.
    fn step(&mut self, take: impl FnOnce(&mut SimEnv)) {
        let fails = match self.supply.begin() {
            Step::Dark => return,
            Step::Fails => true,
            Step::Taken => {
                take(self);
                self.supply.end()
            }
        };
        if fails {
            self.port.call_control(self.node.index() as u64);
        }
    }

    fn write(&mut self, records: &[Record]) {
        match self.store.commit(records) {
            Ok(()) => {
                self.tickets += 1;
                self.port.flush_ticket(self.tickets);
            }
            Err(error) => {
                self.storage_error(&error);
                self.ready.push(Arrival::Committed(Err(error)));
            }
        }
    }

    fn read(&mut self, query: Query) {
        match self.store.load(query) {
            Ok(stored) => self.ready.push(Arrival::Loaded(query, stored)),
            Err(error) => {
                self.storage_error(&error);
                self.ready.push(Arrival::Loaded(query, query.nothing()));
            }
        }
    }

    fn storage_error(&self, error: &StoreError) {
        self.record(|recorder| recorder.storage_error(self.node, error));
    }

    fn record(&self, take: impl FnOnce(&mut Recorder)) {
        take(&mut self.recorder.lock().expect("the recorder does not panic"));
    }
}

impl Env for SimEnv {
    fn now(&self) -> Time {
        Time(self.port.now_ns())
    }

    async fn next(&mut self, deadline: Option<Time>, arrivals: &mut Vec<Arrival>) {
        if !self.ready.is_empty() {
            arrivals.append(&mut self.ready);
            return;
        }
        // Where checks take time, each datagram has its own: timers and completions come between,
        // as they do on real threads. A starved process meets all that has come at its turn.
        let starved = self.turns.are_rare(&self.port);
        let most = if self.cpu.is_free() || starved { usize::MAX } else { 1 };
        self.port.next_few(most, deadline.map(|time| time.0), &mut self.inbox).await;
        self.turns.taken(&self.port);
        let mut inbox = std::mem::take(&mut self.inbox);
        for delivered in inbox.drain(..) {
            match delivered {
                Delivered::Packet { payload, .. } => arrivals.push(Arrival::Datagram(payload.0)),
                Delivered::Wake => {}
                Delivered::Done { result, .. } => {
                    let result =
                        result.map_err(|fault| StoreError::from(std::io::Error::from(fault)));
                    if let Err(error) = &result {
                        self.storage_error(error);
                    }
                    arrivals.push(Arrival::Committed(result));
                }
                Delivered::Command(index) => {
                    let head = self.workload.head();
                    let transaction = self.workload.transaction(index, head);
                    let id = transaction.id();
                    self.record(|recorder| recorder.submitted(self.node, id));
                    arrivals.push(Arrival::Submit(transaction));
                }
            }
        }
        self.inbox = inbox;
    }

    fn send(&mut self, to: NodeId, datagram: Datagram, label: u64) {
        self.step(|env| env.port.send(to.index(), Packet(datagram), label));
    }

    fn commit(&mut self, records: Vec<Record>) {
        self.step(|env| {
            for record in &records {
                if let Record::Block(block) = record {
                    env.record(|recorder| recorder.wrote(env.node, block));
                }
            }
            env.write(&records);
        });
    }

    fn load(&mut self, query: Query) {
        self.step(|env| env.read(query));
    }

    fn deliver(&mut self, block: Arc<Block>, _transactions: Arc<[TransactionId]>) {
        self.step(|env| env.workload.on_delivered(block.id().slot));
    }

    fn verified(&mut self) {
        self.port.work(self.cpu.verify.0);
    }

    fn observe(&mut self, event: Event) {
        if let Event::BlockStored { origin: Origin::Rotor | Origin::Repair, slices, .. } = event {
            self.port.work(self.cpu.decode.0 * u64::from(slices));
        }
        self.step(|env| env.record(|recorder| recorder.event(env.node, &event)));
    }

    fn refused(&mut self, reason: Refused) {
        self.record(|recorder| recorder.refused(self.node, reason));
    }

    fn buggify(&mut self, point: &'static str) -> bool {
        let fires = self.points.fires(point);
        if fires {
            self.record(|recorder| recorder.measure.probe(point));
        }
        fires
    }
}

//! An observer that writes everything down.

use crate::common::Datagram;
use sim_tests::world::observe::{Cause, NodeEvent, Observer};
use std::sync::{Arc, Mutex};

/// Everything that happened, one line each.
pub type Log = Arc<Mutex<Vec<String>>>;

/// Writes everything into a log.
pub struct Scribe(pub Log);

impl Scribe {
    fn line(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Observer<Datagram> for Scribe {
    fn sent(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &Datagram) {
        self.line(format!("{at_ns} {from}>{to} sent {label} {:?}", payload.0));
    }

    fn delivered(&mut self, at_ns: u64, from: usize, to: usize, label: u64, payload: &Datagram) {
        self.line(format!("{at_ns} {from}>{to} delivered {label} {:?}", payload.0));
    }

    fn dropped(
        &mut self,
        at_ns: u64,
        from: usize,
        to: usize,
        label: u64,
        _: &Datagram,
        cause: Cause,
    ) {
        self.line(format!("{at_ns} {from}>{to} dropped {label} {}", cause.name()));
    }

    fn node(&mut self, at_ns: u64, node: usize, event: NodeEvent) {
        self.line(format!("{at_ns} {node} {event:?}"));
    }
}

//! Sees everything and hands it on: fingerprint, history, oracles, measurements.
//!
//! One recorder per run. The world calls it for packets and power, the nodes' environments call it
//! for what nodes observe. It changes nothing: with or without oracles a run is the same run.

use super::datagram::{Packet, digest};
use super::node::DiskContent;
use crate::measure::Measure;
use crate::oracles::history::History;
use crate::oracles::{Context, Fact, Findings, Noise, Oracle, Scene, Violation};
use crate::trace::Record;
use crate::trace::fingerprint::Fingerprint;
use crate::trace::log::Log;
use crate::trace::text::{self, Line};
use crate::world::observe::{Cause, Fingerprinter, NodeEvent, Observer};
use alpenglow_node::host::net::Refused;
use alpenglow_node::host::store::StoreError;
use alpenglow_node::protocol::block::{Block, Commitment, TransactionId};
use alpenglow_node::protocol::event::Event;
use alpenglow_node::protocol::params::TOTAL_SHREDS;
use alpenglow_node::protocol::types::NodeId;
use alpenglow_node::protocol::wire::Message;
use borsh::BorshDeserialize;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Kinds of fingerprint events above those of the world.
const KIND_EVENT: u64 = 64;
const KIND_REFUSED: u64 = 65;

/// The tag of a shred on the wire, after the version.
const SHRED: u8 = 2;

/// Events of a checkpoint.
const CHECKPOINT_EVERY: u64 = 4_096;

/// Words for the events of a part of the run, to compare it with another run.
#[derive(Debug, Default)]
struct Detail {
    /// Which events, counted as in the fingerprint.
    range: Range<u64>,
    lines: Vec<Line>,
}

/// Which oracles are told of what, by their places.
struct Listeners {
    to_all: Vec<usize>,
    to_rejections: Vec<usize>,
    to_sends: Vec<usize>,
    to_shreds: Vec<usize>,
}

impl Listeners {
    fn among(oracles: &[Box<dyn Oracle + Send>]) -> Listeners {
        let which = |hears: &dyn Fn(&dyn Oracle) -> bool| {
            (0..oracles.len()).filter(|place| hears(&*oracles[*place])).collect()
        };
        Listeners {
            to_all: which(&|_| true),
            to_rejections: which(&|oracle| !oracle.ignores(Noise::Rejections)),
            to_sends: which(&|oracle| !oracle.ignores(Noise::Sends)),
            to_shreds: which(&|oracle| oracle.watches_shreds()),
        }
    }
}

/// The eyes of a run.
pub struct Recorder {
    /// What is fixed.
    pub scene: Scene,
    /// What happened.
    pub history: History,
    /// What is measured.
    pub measure: Measure,
    /// What is broken.
    pub violations: Vec<Violation>,
    /// Datagrams dropped before anybody could be blamed, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// The fingerprint of what was decided and when: votes, finalizations, deliveries. Equal for
    /// runs that differ in signatures only.
    pub decisions: Fingerprint,
    /// What nodes observed, if somebody wants to look at it afterwards.
    pub log: Option<Log>,
    print: Fingerprinter<Packet>,
    oracles: Vec<Box<dyn Oracle + Send>>,
    listeners: Listeners,
    findings: Findings,
    now_ns: u64,
    /// The last body that was tapped, decoded: a broadcast is one body for many receivers.
    tapped: Option<(Bytes, Option<Message>)>,
    scratch: Vec<u8>,
    detail: Detail,
    trace: Option<Box<dyn Write + Send>>,
}

impl Recorder {
    /// Before the first event.
    pub fn new(scene: Scene, oracles: Vec<Box<dyn Oracle + Send>>) -> Arc<Mutex<Recorder>> {
        let nodes = scene.stakes.len();
        let print = Fingerprint::new(nodes, CHECKPOINT_EVERY);
        Arc::new(Mutex::new(Recorder {
            history: History::new(nodes),
            measure: Measure::new(&scene),
            violations: Vec::new(),
            refused: BTreeMap::new(),
            decisions: print.clone(),
            log: None,
            print: Fingerprinter::new(print, digest),
            listeners: Listeners::among(&oracles),
            oracles,
            findings: Findings::default(),
            now_ns: 0,
            tapped: None,
            scratch: Vec::new(),
            detail: Detail::default(),
            trace: None,
            scene,
        }))
    }

    /// Writes a line of text for every fact from now on.
    pub fn trace_to(&mut self, writer: Box<dyn Write + Send>) {
        self.trace = Some(writer);
    }

    /// Puts the events of this range (from 0, counted as in the fingerprint) into words.
    pub fn describe(&mut self, range: Range<u64>) {
        self.detail = Detail { range, lines: Vec::new() };
    }

    /// The events that [`Recorder::describe`] asked for.
    pub fn described(&self) -> &[Line] {
        &self.detail.lines
    }

    /// Describes the event that the fingerprint took last, if it is in the range.
    fn detail(&mut self, node: usize, text: impl FnOnce() -> String) {
        let index = self.print.fingerprint.events() - 1;
        if self.detail.range.contains(&index) {
            let (at_ns, node) = (self.now_ns, node as u16);
            self.detail.lines.push(Line { index, at_ns, node, text: text() });
        }
    }

    /// The fingerprint so far.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.print.fingerprint
    }

    /// The run as recorded so far, if it is recorded.
    pub fn record(&self, end_ns: u64) -> Option<Record<'_>> {
        let (scene, violations) = (&self.scene, self.violations.as_slice());
        self.log.as_ref().map(|log| Record { log, scene, violations, end_ns })
    }

    /// World time of the last event.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// A node's observation of itself.
    pub fn event(&mut self, node: NodeId, event: &Event) {
        self.scratch.clear();
        borsh::to_writer(&mut self.scratch, event).expect("writing to memory does not fail");
        let print = &mut self.print.fingerprint;
        print.event_bytes(self.now_ns, node.index(), KIND_EVENT, &self.scratch);
        self.detail(node.index(), || format!("{event:?}"));
        if matches!(event, Event::VoteCast(_) | Event::Finalized(..) | Event::Delivered { .. }) {
            self.decisions.event_bytes(self.now_ns, node.index(), KIND_EVENT, &self.scratch);
        }
        self.fact(node, Fact::Event(event));
    }

    /// A node writes a block to its store.
    pub fn wrote(&mut self, node: NodeId, block: &Block) {
        let (slices, parent) = (block.slices(), block.parent());
        self.fact(node, Fact::Wrote { block: block.id(), parent, slices });
    }

    /// What the disk of a crashed node holds.
    pub fn image(&mut self, node: NodeId, content: &DiskContent) {
        match &content.log {
            Some(votes) => self.fact(node, Fact::Image(votes, &content.ledger)),
            None => {
                self.measure.probe("log-lost");
                self.fact(node, Fact::LogLost(&content.ledger));
            }
        }
    }

    /// A client hands a transaction to a node.
    pub fn submitted(&mut self, node: NodeId, id: TransactionId) {
        self.measure.submitted(self.now_ns, node, id);
    }

    /// A datagram was dropped at the door of a node.
    pub fn refused(&mut self, node: NodeId, reason: Refused) {
        self.print.fingerprint.event(self.now_ns, node.index(), KIND_REFUSED, &[reason as u64]);
        self.detail(node.index(), || format!("refused a datagram: {reason:?}"));
        let name = match reason {
            Refused::Size => "size",
            Refused::Foreign => "foreign",
            Refused::Sender => "sender",
            Refused::Tag => "tag",
            Refused::Replay => "replay",
        };
        *self.refused.entry(name).or_default() += 1;
    }

    /// A node could not read from its store.
    pub fn storage_error(&mut self, node: NodeId, error: &StoreError) {
        tracing::warn!(%node, %error, "storage");
        self.measure.probe("storage-error");
    }

    /// Ends the run: the oracles that judge at the end judge.
    pub fn finish(&mut self, at_ns: u64) {
        self.now_ns = at_ns;
        let cx = Context { at_ns, scene: &self.scene, history: &self.history };
        for oracle in &mut self.oracles {
            oracle.finish(&cx, &mut self.findings);
        }
        self.collect();
        self.measure.finish();
    }

    fn collect(&mut self) {
        if self.findings.is_empty() {
            return;
        }
        let found = self.findings.take();
        if let Some(log) = self.log.as_mut().filter(|_| !found.is_empty()) {
            log.violated();
        }
        self.violations.extend(found);
        for (recovery, bound_ns) in self.findings.take_bounds() {
            self.measure.recoveries[recovery].bound_ns = bound_ns;
        }
        self.findings.take_probes().for_each(|name| self.measure.probe(name));
    }

    /// Until when the run must go on for every oracle to decide.
    pub fn undecided_until(&self) -> Option<u64> {
        self.oracles.iter().filter_map(|oracle| oracle.undecided_until()).max()
    }

    fn fact(&mut self, node: NodeId, fact: Fact<'_>) {
        if let Some(writer) = &mut self.trace {
            let line = text::line(self.now_ns, node, &fact);
            if writeln!(writer, "{line}").is_err() {
                self.trace = None; // a full disk of the harness must not end the run
            }
        }
        if let Some(log) = &mut self.log {
            log.take(self.now_ns, node, &fact);
        }
        if !self.scene.correct[node.index()] {
            return;
        }
        self.history.take(self.now_ns, node, fact);
        let cx = Context { at_ns: self.now_ns, scene: &self.scene, history: &self.history };
        let listeners = match Noise::of(&fact) {
            Some(Noise::Rejections) => &self.listeners.to_rejections,
            Some(Noise::Sends) => &self.listeners.to_sends,
            None => &self.listeners.to_all,
        };
        for listener in listeners {
            self.oracles[*listener].observe(&cx, node, fact, &mut self.findings);
        }
        self.measure.observe(&cx, node, fact);
        self.collect();
    }

    /// Tells the oracles that watch shreds of one, which is not decoded as a whole.
    fn shred(&mut self, node: NodeId, to: NodeId, body: &[u8]) {
        if self.listeners.to_shreds.is_empty() || !self.scene.correct[node.index()] {
            return;
        }
        let Some((commitment, signature, index)) = shred_head(body) else { return };
        let fact = Fact::Shred { to, commitment, signature, index };
        let cx = Context { at_ns: self.now_ns, scene: &self.scene, history: &self.history };
        for listener in &self.listeners.to_shreds {
            self.oracles[*listener].observe(&cx, node, fact, &mut self.findings);
        }
        self.collect();
    }

    /// The message in a body, if it is of a kind that oracles look at.
    fn tap(&mut self, body: &Bytes) -> Option<Message> {
        // Version byte, then the tag of the message: votes, certificates and proofs, also those in
        // answers, where the tag of the answer follows a number.
        if !matches!((body.get(1)?, body.get(10)), (0 | 1 | 6, _) | (5, Some(3))) {
            return None;
        }
        match &self.tapped {
            Some((known, message)) if known.as_ptr() == body.as_ptr() && known == body => {
                message.clone()
            }
            _ => {
                let message = Message::decode(body).ok();
                self.tapped = Some((body.clone(), message.clone()));
                message
            }
        }
    }
}

/// A packet in words: its message if it decodes, and the tag that covers every byte.
fn content(packet: &Packet, label: u64) -> String {
    let message = match Message::decode(&packet.0.body) {
        Ok(message) => format!("{message:?}"),
        Err(_) => format!("{} bytes", packet.0.body.len()),
    };
    format!("{message} (label {label:016x}, tag {:016x})", digest(packet))
}

/// Slice, signature and number of an encoded shred.
fn shred_head(body: &[u8]) -> Option<(Commitment, &[u8; 64], u8)> {
    let (mut head, rest) = body.get(2..)?.split_at_checked(42)?;
    let (signature, rest) = rest.split_first_chunk()?;
    let index = *rest.first().filter(|index| usize::from(**index) < TOTAL_SHREDS)?;
    Some((Commitment::deserialize(&mut head).ok()?, signature, index))
}

impl Observer<Packet> for Recorder {
    fn sent(&mut self, at_ns: u64, from: usize, to: usize, _label: u64, packet: &Packet) {
        self.now_ns = at_ns;
        let (from, to, body) = (NodeId(from as u16), NodeId(to as u16), &packet.0.body);
        if body.get(1) == Some(&SHRED) {
            self.shred(from, to, body);
        } else if let Some(message) = self.tap(body) {
            self.fact(from, Fact::Sent(to, &message));
        }
    }

    fn delivered(&mut self, at_ns: u64, from: usize, to: usize, label: u64, packet: &Packet) {
        self.now_ns = at_ns;
        self.print.delivered(at_ns, from, to, label, packet);
        self.detail(to, || format!("<- n{from} {}", content(packet, label)));
    }

    fn dropped(
        &mut self,
        at_ns: u64,
        from: usize,
        to: usize,
        label: u64,
        packet: &Packet,
        cause: Cause,
    ) {
        self.now_ns = at_ns;
        self.print.dropped(at_ns, from, to, label, packet, cause);
        self.detail(to, || {
            format!("lost ({}) <- n{from} {}", cause.name(), content(packet, label))
        });
    }

    fn node(&mut self, at_ns: u64, node: usize, event: NodeEvent) {
        self.now_ns = at_ns;
        self.print.node(at_ns, node, event);
        self.detail(node, || format!("{event:?}"));
        let node = NodeId(node as u16);
        match event {
            NodeEvent::Started { incarnation } => self.fact(node, Fact::Started(incarnation)),
            NodeEvent::Crashed(_) | NodeEvent::Exited => self.fact(node, Fact::Crashed),
            NodeEvent::Paused => self.fact(node, Fact::Paused(true)),
            NodeEvent::Resumed => self.fact(node, Fact::Paused(false)),
            NodeEvent::Freed
            | NodeEvent::Woke
            | NodeEvent::Flushed { .. }
            | NodeEvent::Command(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alpenglow_node::crypto::ed25519::Signature;
    use alpenglow_node::protocol::block::Shred;
    use alpenglow_node::protocol::bounded::BoundedBytes;
    use alpenglow_node::protocol::types::{Hash, Slot};

    /// What is read at fixed places is what the whole message says.
    #[test]
    fn the_head_of_a_shred() {
        let shred = Shred {
            commitment: Commitment { slot: Slot(77), slice: 3, last: true, root: Hash([5; 32]) },
            signature: Signature([9; 64]),
            index: 41,
            piece: BoundedBytes::new(Bytes::from_static(b"piece")).expect("short"),
            path: [Hash([6; 32]); 6],
        };
        let body = Message::Shred(Arc::new(shred.clone())).encode();
        assert_eq!(body[1], SHRED);
        assert_eq!(shred_head(&body), Some((shred.commitment, &[9; 64], 41)));
        assert_eq!(shred_head(&body[..100]), None);
    }
}

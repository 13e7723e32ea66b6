//! Bytes of peers against one node: decode, precheck, verify, step. Nothing may panic.
//!
//! Random bytes alone hardly ever pass the codec, and a fresh node has nothing that a message could
//! meet. So the node is in the middle of a run first: four nodes play a second of a lossy network
//! once, what reached node 0 is kept, and each test case replays it. And a test case is a list of
//! messages, each either raw bytes or a true message of that run with a few bytes changed:
//!
//! ```text
//! message := sender  0xff  length        bytes          raw
//!          | sender  which changes (position u16, value)*   a true message, changed
//! ```
//!
//! Signatures are of the null scheme, so changed messages that would need a new one fail there, as
//! with the real scheme. In `node/` (cargo-fuzz replaces the flags of the workspace, so one of them
//! must be given): `RUSTFLAGS="--cfg madsim" cargo +nightly fuzz run decode`.

#![no_main]

use alpenglow_node::crypto::{Hash, Scheme};
use alpenglow_node::host::keys::Keys;
use alpenglow_node::protocol::committee::{Committee, Genesis};
use alpenglow_node::protocol::machine::Config;
use alpenglow_node::protocol::params::Params;
use alpenglow_node::protocol::types::{NodeId, Time};
use alpenglow_node::protocol::wire::{Message, verify};
use alpenglow_node::protocol::{Effect, Input, Protocol, Query, Restored};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};

const MS: u64 = 1_000_000;
const NODES: u16 = 4;

fn keys(i: u16) -> Keys {
    Keys::from_seed(Scheme::Null, &[i as u8 + 1; 32])
}

static COMMITTEE: LazyLock<Arc<Committee>> = LazyLock::new(|| {
    // One slice a block: the past is replayed for every test case.
    let params = Params { slice_interval_ns: 400 * MS, ..Params::default() };
    let genesis = Genesis {
        cluster: Hash([3; 32]),
        start_unix_ns: 0,
        scheme: Scheme::Null,
        params,
        validators: (0..NODES).map(|i| keys(i).validator(25)).collect(),
    };
    Arc::new(Committee::new(&genesis).expect("a valid genesis"))
});

/// What happened to node 0 in the run before, and the true messages it heard.
static PAST: LazyLock<(Vec<(Time, Input)>, Vec<(NodeId, Vec<u8>)>)> = LazyLock::new(play);

/// A node with a host that signs and writes at once.
struct Host {
    node: Protocol,
    me: NodeId,
    keys: Keys,
    timers: BTreeMap<(Time, u64), Input>,
    order: u64,
    /// What left: to whom, the bytes.
    sent: Vec<(NodeId, Vec<u8>)>,
}

impl Host {
    fn new(me: NodeId) -> Host {
        let restored = Restored { intact: true, ..Restored::default() };
        let committee = COMMITTEE.clone();
        let config = Config { committee, me, restored, start: Time(0), boot: 1 };
        let mut out = Vec::new();
        let node = Protocol::new(config, Time(0), &mut out);
        let timers = BTreeMap::new();
        let mut host = Host { node, me, keys: keys(me.0), timers, order: 0, sent: Vec::new() };
        let inputs = host.carry_out(out);
        host.work_off(Time(0), inputs);
        host
    }

    fn work_off(&mut self, now: Time, mut inputs: VecDeque<Input>) {
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.node.step(now, input, &mut out);
            inputs.extend(self.carry_out(out));
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> VecDeque<Input> {
        let mut inputs = VecDeque::new();
        for effect in effects {
            match effect {
                Effect::Sign { token, object } => {
                    let signed = self.keys.sign(&COMMITTEE, self.me, object);
                    inputs.push_back(Input::Signed { token, signed });
                }
                Effect::Persist { token, .. } => inputs.push_back(Input::Persisted(token)),
                Effect::Send { to, message, .. } => {
                    let bytes = message.encode();
                    self.sent.extend(to.as_slice().iter().map(|&to| (to, bytes.to_vec())));
                }
                Effect::SetTimer(timer, at) => {
                    self.order += 1;
                    self.timers.insert((at, self.order), Input::Timer(timer));
                }
                Effect::Load(query) => inputs.push_back(nothing(query)),
                Effect::Note(_) | Effect::Deliver { .. } | Effect::Observe { .. } => {}
            }
        }
        inputs
    }

    fn due(&mut self, now: Time) -> Option<Input> {
        Some(self.timers.first_entry().filter(|entry| entry.key().0 <= now)?.remove())
    }

    /// Takes bytes as a host does: `None` if they were dropped.
    fn receive(&mut self, now: Time, from: NodeId, bytes: &[u8]) -> Input {
        if let Ok(message) = Message::decode(bytes) {
            assert_eq!(message.encode(), bytes, "two encodings of {message:?}");
        }
        let checked = self.node.precheck(from, bytes).and_then(|claim| verify(&COMMITTEE, claim));
        let input = match checked {
            Ok(message) => Input::Message { from, message },
            Err(reason) => Input::Dropped { from, reason },
        };
        self.work_off(now, VecDeque::from([input.clone()]));
        input
    }
}

fn nothing(query: Query) -> Input {
    Input::Loaded(query, query.nothing())
}

/// A second and a half of four nodes; a third of what is sent to node 0 is lost.
fn play() -> (Vec<(Time, Input)>, Vec<(NodeId, Vec<u8>)>) {
    let mut hosts: Vec<Host> = (0..NODES).map(|i| Host::new(NodeId(i))).collect();
    let (mut past, mut heard, mut count) = (Vec::new(), Vec::new(), 0usize);
    for step in 1..150 {
        let now = Time(step * 10 * MS);
        for i in 0..hosts.len() {
            while let Some(timer) = hosts[i].due(now) {
                if i == 0 {
                    past.push((now, timer.clone()));
                }
                hosts[i].work_off(now, VecDeque::from([timer]));
            }
            for (to, bytes) in std::mem::take(&mut hosts[i].sent) {
                count += 1;
                if to.0 == 0 && count.is_multiple_of(3) && step > 40 {
                    continue;
                }
                let from = NodeId(i as u16);
                let input = hosts[to.index()].receive(now, from, &bytes);
                if to.0 == 0 {
                    past.push((now, input));
                    heard.push((from, bytes));
                }
            }
        }
    }
    (past, heard)
}

fn next<'a>(data: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, rest) = data.split_at(n.min(data.len()));
    *data = rest;
    taken
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (past, heard) = &*PAST;
    let mut host = Host::new(NodeId(0));
    let mut now = Time(0);
    for (at, input) in past {
        now = *at;
        host.work_off(now, VecDeque::from([input.clone()]));
    }
    let mut data = data;
    while let [sender, which, length, ..] = *data {
        next(&mut data, 3);
        let from = NodeId(1 + u16::from(sender) % (NODES + 1)); // one of them is no member
        let bytes = if which == 0xff {
            next(&mut data, length.into()).to_vec()
        } else {
            let place = (usize::from(which) << 3 | usize::from(sender) >> 5) % heard.len();
            let mut bytes = heard[place].1.clone();
            for change in next(&mut data, 3 * usize::from(length % 8)).chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
                bytes[at] = change[2];
            }
            bytes
        };
        now = Time(now.0 + 5 * MS);
        while let Some(timer) = host.due(now) {
            host.work_off(now, VecDeque::from([timer]));
        }
        host.receive(now, from, &bytes);
        host.sent.clear();
    }
});

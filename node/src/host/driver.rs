//! The driver: waits, steps the protocol, carries out its effects. One task per node.
//!
//! It is the same code in production and in simulation; the world is a value, [`Env`]. The driver
//! keeps three things that the protocol speaks of and does not have: the timers, the effects that
//! wait for the disk, and the records that wait for the commit under way. One commit is under way
//! at a time; what comes meanwhile shares the next one.
//!
//! Signatures are checked where the world wants it: on the spot in simulation, which keeps it
//! deterministic, or by the world's own threads, and then [`verify::Checks`] says what goes next.

use super::buggify::{LATE_NS, buggify};
use super::keys::Keys;
use super::net::{Datagram, Link, Refused};
use super::store::StoreError;
use super::verify::{self, Checks, Done, Job};
use crate::crypto::mac;
use crate::protocol::block::{Block, Transaction, TransactionId};
use crate::protocol::committee::Committee;
use crate::protocol::event::Event;
use crate::protocol::types::{NodeId, Time, Token};
use crate::protocol::vote::Vote;
use crate::protocol::wire::{self, Answer, Message, Reject, Unverified, Verified};
use crate::protocol::{Effect, Input, Protocol, Query, Recipients, Record, Stored, Timer};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Something that arrives at a node.
#[derive(Debug)]
pub enum Arrival {
    /// A datagram of anybody.
    Datagram(Datagram),
    /// The body of a datagram that the world opened itself, with its proved sender.
    Body(NodeId, Bytes),
    /// A job given to [`Env::check`] is done.
    Checked(Done),
    /// A client's transaction.
    Submit(Transaction),
    /// The commit under way is durable, or failed.
    Committed(Result<(), StoreError>),
    /// The store has read.
    Loaded(Query, Stored),
    /// The node must stop.
    Stop,
}

/// The world around one node.
pub trait Env {
    /// The node's monotonic clock. Constant while the driver handles what one `next` returned.
    fn now(&self) -> Time;

    /// Appends what has arrived; returns when there is something, or at `deadline`. Nothing may be
    /// lost if the future is dropped.
    fn next(
        &mut self,
        deadline: Option<Time>,
        arrivals: &mut Vec<Arrival>,
    ) -> impl Future<Output = ()>;

    /// Sends, or drops: datagrams promise nothing. `label` names the message for the simulated
    /// network's random draws; production ignores it.
    fn send(&mut self, to: NodeId, datagram: Datagram, label: u64);

    /// Starts to make records durable; [`Arrival::Committed`] follows. Never called while one is
    /// under way.
    fn commit(&mut self, records: Vec<Record>);

    /// Starts to read; [`Arrival::Loaded`] follows.
    fn load(&mut self, query: Query);

    /// The next block of the chain, durable.
    fn deliver(&mut self, block: Arc<Block>, transactions: Arc<[TransactionId]>);

    /// An observation.
    fn observe(&mut self, event: Event);

    /// Threads that check signatures, besides the node's own; constant. 0: check on the spot.
    fn check_threads(&self) -> usize {
        0
    }

    /// Starts to check signatures; [`Arrival::Checked`] follows. Called only while fewer than
    /// [`Env::check_threads`] jobs are under way.
    fn check(&mut self, job: Job) {
        unreachable!("no thread for {job:?}");
    }

    /// So many messages wait for a check.
    fn waiting(&mut self, _checks: usize) {}

    /// A vote or certificate was checked on the spot. Simulated processors take their time for it.
    /// (Shreds cost 20 times less; what they take is part of reconstructing their slice.)
    fn verified(&mut self) {}

    /// A datagram was dropped before anybody could be blamed for it.
    fn refused(&mut self, reason: Refused);

    /// Whether the fault point of this name fires now (`buggify`). Never asked in production.
    fn buggify(&mut self, _point: &'static str) -> bool {
        false
    }
}

/// What the driver drives: the protocol, or something that wraps it and lies.
pub trait Doorway {
    /// See [`Protocol::precheck`].
    fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject>;
    /// See [`wire::verify`].
    fn verify(&self, claim: Unverified<Message>) -> Result<Verified<Message>, Reject>;
    /// See [`Protocol::screen`].
    fn screen(&self, _from: NodeId, message: Message) -> Result<Unverified<Message>, Reject> {
        Ok(Unverified::new(message))
    }
    /// See [`Protocol::decides`].
    fn decides(&self, _vote: Vote, _voters: &mut dyn Iterator<Item = NodeId>) -> bool {
        true
    }
    /// See [`Protocol::step`].
    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>);
}

impl Doorway for Protocol {
    fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        Protocol::precheck(self, from, bytes)
    }

    fn verify(&self, claim: Unverified<Message>) -> Result<Verified<Message>, Reject> {
        wire::verify(self.committee(), claim)
    }

    fn screen(&self, from: NodeId, message: Message) -> Result<Unverified<Message>, Reject> {
        Protocol::screen(self, from, message)
    }

    fn decides(&self, vote: Vote, voters: &mut dyn Iterator<Item = NodeId>) -> bool {
        Protocol::decides(self, vote, voters)
    }

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        Protocol::step(self, now, input, out);
    }
}

impl<D: Doorway + ?Sized> Doorway for Box<D> {
    fn precheck(&self, from: NodeId, bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        (**self).precheck(from, bytes)
    }

    fn verify(&self, claim: Unverified<Message>) -> Result<Verified<Message>, Reject> {
        (**self).verify(claim)
    }

    fn screen(&self, from: NodeId, message: Message) -> Result<Unverified<Message>, Reject> {
        (**self).screen(from, message)
    }

    fn decides(&self, vote: Vote, voters: &mut dyn Iterator<Item = NodeId>) -> bool {
        (**self).decides(vote, voters)
    }

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        (**self).step(now, input, out);
    }
}

fn concluded(from: NodeId, checked: Result<Verified<Message>, Reject>) -> Input {
    match checked {
        Ok(message) => Input::Message { from, message },
        Err(reason) => Input::Dropped { from, reason },
    }
}

/// One node, ready to run.
pub struct Driver<E, D> {
    env: E,
    node: D,
    me: NodeId,
    committee: Arc<Committee>,
    keys: Keys,
    link: Link,
    timers: BTreeMap<(Time, u64), Timer>,
    timers_set: u64,
    /// Everything up to this token is durable.
    durable: Token,
    /// Records for the next commit, up to this token.
    records: Vec<Record>,
    newest: Token,
    /// Something waits for the next commit.
    urgent: bool,
    /// The commit under way covers everything up to this token.
    committing: Option<Token>,
    failed: bool,
    /// A fault point put off the next commit until then.
    commit_from: Option<Time>,
    /// A fault point put off what was handed over until then.
    late: Option<(Time, Arrival)>,
    /// Effects that wait for their token.
    held: BTreeMap<Token, Vec<Effect>>,
    /// What waits for the world's threads, if it has any.
    checks: Option<Checks>,
    /// Inputs that the effects of this moment bring about; empty between two arrivals.
    inputs: VecDeque<Input>,
    /// Reused, so that a datagram costs no allocation here.
    effects: Vec<Effect>,
}

impl<E: Env, D: Doorway> Driver<E, D> {
    /// Puts a node together. `first` are the effects of starting the protocol.
    pub fn new(
        env: E,
        node: D,
        me: NodeId,
        committee: Arc<Committee>,
        keys: Keys,
        link: Link,
        first: Vec<Effect>,
    ) -> Self {
        let threads = env.check_threads();
        let checks = (threads > 0).then(|| Checks::new(committee.len(), threads));
        let mut driver = Driver {
            env,
            node,
            me,
            committee,
            keys,
            link,
            timers: BTreeMap::new(),
            timers_set: 0,
            durable: Token(0),
            records: Vec::new(),
            newest: Token(0),
            urgent: false,
            committing: None,
            failed: false,
            commit_from: None,
            late: None,
            held: BTreeMap::new(),
            checks,
            inputs: VecDeque::new(),
            effects: first,
        };
        driver.carry_out();
        driver.work_off(driver.env.now());
        driver.commit(driver.env.now());
        driver
    }

    /// Runs until [`Arrival::Stop`].
    pub async fn run(mut self) {
        let (mut arrivals, mut rest) = (Vec::new(), Vec::new());
        loop {
            if rest.is_empty() {
                let deadline = self.deadline();
                self.env.next(deadline, &mut arrivals).await;
            }
            arrivals.append(&mut rest);
            let now = self.env.now();
            if let Some((_, arrival)) = self.late.take_if(|(until, _)| *until <= now) {
                // Not through `in_time` again: late once is enough.
                self.receive(arrival, now);
                self.work_off(now);
            }
            if arrivals.len() > 1 && buggify!(self.env, "driver.short_batch") {
                rest = arrivals.split_off(arrivals.len() / 2);
            }
            for arrival in arrivals.drain(..) {
                if matches!(arrival, Arrival::Stop) {
                    return;
                }
                if let Some(arrival) = self.in_time(arrival) {
                    self.receive(arrival, now);
                    self.work_off(now);
                }
            }
            // After the arrivals: on a tie a block comes before its timeout (7.3).
            while let Some(entry) = self.timers.first_entry().filter(|e| e.key().0 <= now) {
                let timer = entry.remove();
                self.inputs.push_back(Input::Timer(timer));
                self.work_off(now);
            }
            self.start_checks(now);
            self.commit(now);
        }
    }

    /// When the driver wants to be woken, if nothing arrives.
    fn deadline(&mut self) -> Option<Time> {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let late = self.late.as_ref().map(|(until, _)| *until);
        let early = buggify!(self.env, "driver.early_wake").then(|| self.soon());
        let gathered = self.checks.as_ref().and_then(Checks::deadline);
        [timer, late, self.commit_from, early, gathered].into_iter().flatten().min()
    }

    fn soon(&self) -> Time {
        Time(self.env.now().0 + LATE_NS)
    }

    /// Gives the arrival back, unless a fault point lets it wait.
    fn in_time(&mut self, arrival: Arrival) -> Option<Arrival> {
        if matches!(arrival, Arrival::Committed(_)) && buggify!(self.env, "driver.late_completion")
        {
            self.late = Some((self.soon(), arrival));
            return None;
        }
        Some(arrival)
    }

    /// Turns an arrival into inputs.
    fn receive(&mut self, arrival: Arrival, now: Time) {
        let input = match arrival {
            Arrival::Datagram(datagram) => match self.link.open(&datagram) {
                Ok(from) => self.message(from, &datagram.body, now),
                Err(reason) => {
                    self.env.refused(reason);
                    None
                }
            },
            Arrival::Body(from, body) => self.message(from, &body, now),
            Arrival::Checked(done) => {
                let checks = self.checks.as_mut().expect("only jobs of it are checked");
                checks.done(now, &done);
                let input = |(from, checked)| concluded(from, checked);
                self.inputs.extend(done.results.into_iter().map(input));
                None
            }
            Arrival::Submit(transaction) => Some(Input::Submit(transaction)),
            Arrival::Loaded(query, stored) => Some(Input::Loaded(query, stored)),
            Arrival::Committed(Ok(())) => {
                self.durable = self.committing.take().unwrap_or(self.durable);
                Some(Input::Persisted(self.durable))
            }
            Arrival::Committed(Err(_)) => {
                self.fail();
                Some(Input::StorageFailed)
            }
            Arrival::Stop => None,
        };
        self.inputs.extend(input);
    }

    /// Nothing will be durable any more, so what waits for that will never leave. It is dropped:
    /// the node goes on as an observer, and every block it follows would be held for ever.
    fn fail(&mut self) {
        self.failed = true;
        self.held.clear();
        self.records = Vec::new();
    }

    /// Bytes of a peer become an input, or wait for their check.
    fn message(&mut self, from: NodeId, body: &[u8], now: Time) -> Option<Input> {
        let checked = match self.node.precheck(from, body) {
            Err(reason) => Err(reason),
            Ok(claim) => match &mut self.checks {
                Some(checks) if verify::is_heavy(claim.claim()) => {
                    let decides = |vote, voters: &mut dyn Iterator<Item = NodeId>| {
                        self.node.decides(vote, voters)
                    };
                    match checks.push(now, from, claim, decides) {
                        Ok(()) => return None,
                        Err(reason) => Err(reason),
                    }
                }
                _ => self.check_here(from, claim, now),
            },
        };
        Some(concluded(from, checked))
    }

    /// Checks a message on the node's own thread.
    fn check_here(
        &mut self,
        from: NodeId,
        claim: Unverified<Message>,
        now: Time,
    ) -> Result<Verified<Message>, Reject> {
        let signed =
            matches!(claim.claim(), Message::Shred(_) | Message::Response(_, Answer::Shred(_)));
        if let Some(checks) = &mut self.checks
            && signed
            && !checks.trusts(now, from)
        {
            return Err(Reject::RateLimit);
        }
        if matches!(claim.claim(), Message::Vote(_) | Message::Certificate(_)) {
            self.env.verified();
        }
        let checked = self.node.verify(claim);
        if let (Some(checks), Err(reason)) = (&mut self.checks, &checked) {
            checks.blame(now, from, *reason);
        }
        checked
    }

    /// Hands what waits to threads that are free.
    fn start_checks(&mut self, now: Time) {
        let Some(checks) = &mut self.checks else { return };
        let mut dropped = Vec::new();
        let again =
            |(from, claim): verify::Claim| Ok((from, self.node.screen(from, claim.into_claim())?));
        while let Some(job) = checks.next(now, again, &mut dropped) {
            self.env.check(job);
        }
        self.env.waiting(checks.waiting());
        let input = |(from, reason)| Input::Dropped { from, reason };
        self.inputs.extend(dropped.into_iter().map(input));
        self.work_off(now);
    }

    /// Steps through the inputs and what they bring about, until nothing is left.
    fn work_off(&mut self, now: Time) {
        while let Some(input) = self.inputs.pop_front() {
            if let Input::Persisted(token) = input {
                // What waited for the disk leaves before anything that follows from it.
                let later = self.held.split_off(&Token(token.0 + 1));
                for released in std::mem::replace(&mut self.held, later).into_values() {
                    self.effects.extend(released);
                }
                self.carry_out();
            }
            self.node.step(now, input, &mut self.effects);
            self.carry_out();
        }
    }

    /// Carries out the effects in order. What they feed back joins the inputs.
    fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            let after = match &effect {
                Effect::Send { after, .. } | Effect::Observe { after, .. } => *after,
                Effect::Deliver { after, .. } => Some(*after),
                _ => None,
            };
            if let Some(token) = after.filter(|&token| token > self.durable) {
                if !self.failed {
                    self.held.entry(token).or_default().push(effect);
                }
                continue;
            }
            match effect {
                Effect::Sign { token, object } => {
                    let signed = self.keys.sign(&self.committee, self.me, object);
                    self.inputs.push_back(Input::Signed { token, signed });
                }
                Effect::Persist { .. } if self.failed => {}
                Effect::Persist { token, records } => {
                    self.records.extend(records);
                    (self.newest, self.urgent) = (token, true);
                }
                Effect::Note(record) if self.failed => drop(record),
                Effect::Note(record) => self.records.push(record),
                Effect::Send { to, message, .. } => self.send(&to, &message),
                Effect::SetTimer(timer, at) => {
                    self.timers_set += 1;
                    self.timers.insert((at, self.timers_set), timer);
                }
                Effect::Load(query) => self.env.load(query),
                Effect::Deliver { block, transactions, .. } => {
                    self.env.deliver(block, transactions);
                }
                Effect::Observe { event, .. } => self.env.observe(event),
            }
        }
        self.effects = effects;
    }

    fn send(&mut self, to: &Recipients, message: &Message) {
        let body = message.encode();
        let label = message.label();
        let digest = mac::own_body_digest(&body);
        for &node in to.as_slice() {
            let header = self.link.seal(node, &digest);
            self.env.send(node, Datagram { header, body: body.clone() }, label);
        }
    }

    /// Starts the next commit if something waits for one and none is under way. Once a write
    /// has failed nothing is written any more.
    fn commit(&mut self, now: Time) {
        if self.committing.is_some() || !self.urgent || self.failed {
            return;
        }
        match self.commit_from {
            None if buggify!(self.env, "driver.late_commit") => {
                self.commit_from = Some(self.soon());
                return;
            }
            Some(from) if from > now => return,
            _ => self.commit_from = None,
        }
        (self.committing, self.urgent) = (Some(self.newest), false);
        self.env.commit(std::mem::take(&mut self.records));
    }
}

#[cfg(test)]
mod tests;

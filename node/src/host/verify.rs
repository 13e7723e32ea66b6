//! Signature checks beside the node: what waits, what goes together, and who is charged.
//!
//! A pairing takes 0.7 ms, so a thousand wrong votes a second would fill a processor, and a check
//! on the node's own thread would stop everything else. Four rules keep that off:
//!
//! - *In turn.* Messages wait in a bounded queue per peer, and peers are served in turn.
//! - *Together.* All votes on one message that wait are checked as one aggregate, for the price of
//!   one. If an aggregate is wrong, each of its votes is checked alone and only the wrong ones are
//!   blamed.
//! - *When it decides.* A vote that concludes nothing, not even together with all others that
//!   wait, gathers company until the protocol says that it does, or for [`GATHER`]. The votes that
//!   make a quorum then cost one check, and those that come after it none: their slot is decided.
//!   Checking each vote as it comes costs as many pairings as there are votes, on the processor
//!   that the deciding ones need.
//! - *On trust.* A message that fails its check takes a token from its sender; without tokens
//!   nothing of that sender is checked. A peer that failed lately is also checked alone, so that
//!   it does not spoil the aggregates of others. The sender is what the datagram's tag proves, and
//!   an honest node passes on only what it has verified, so an honest node never loses a token,
//!   whatever others say about it or under its name.
//!
//! What waits is looked at again before its check, because meanwhile the certificate that it would
//! build may be held, or its slot final. This file is plain data; threads are in
//! [`super::runtime`], and in simulation everything is checked at once and nothing waits.

use super::net::limits::{Bucket, Rate};
use crate::protocol::certificate::SignedVote;
use crate::protocol::committee::Committee;
use crate::protocol::types::{NodeId, Time};
use crate::protocol::vote::{CertificateId, Vote};
use crate::protocol::wire::{self, Answer, Message, Reject, Unverified, Verified};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Messages of one peer that wait for their check at most.
pub const MAX_WAITING: usize = 256;
/// Votes in one aggregate at most: it bounds the time that one job takes.
pub const MAX_TOGETHER: usize = 128;
/// A vote that decides nothing yet waits for others on the same message for so long. Little beside
/// any delay on a network, and long beside the time in which a quorum's votes arrive.
pub const GATHER: Duration = Duration::from_millis(10);
/// Wrong signatures a peer may send: 16 at once, one per second in the long run.
const TRUST: Rate = Rate { per_second: 1, burst: 16 };
/// After a wrong signature a peer's votes are checked alone for so long.
const SUSPICION: Duration = Duration::from_secs(600);

/// A message and who sent it.
pub type Claim = (NodeId, Unverified<Message>);

/// Work for one thread: several votes on one message, or a single message.
#[derive(Debug)]
pub struct Job(Vec<Claim>);

/// A job that was worked off.
#[derive(Debug)]
pub struct Done {
    certificate: Option<CertificateId>,
    vote: Option<Vote>,
    /// Each message, or why it is refused.
    pub results: Vec<(NodeId, Result<Verified<Message>, Reject>)>,
}

/// True if checking the message needs a pairing. All else is cheaper than handing it over.
pub fn is_heavy(message: &Message) -> bool {
    matches!(
        message,
        Message::Vote(_)
            | Message::Certificate(_)
            | Message::Proof(_)
            | Message::Response(_, Answer::Decided(_))
    )
}

/// True if the reason is a lie of whoever sent the message.
fn is_lie(reason: Reject) -> bool {
    matches!(reason, Reject::Signature | Reject::Certificate | Reject::Proof | Reject::Signer)
}

impl Job {
    /// Messages in it.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Checks everything. Pure and slow; for a worker.
    pub fn run(self, committee: &Committee) -> Done {
        let first = self.0.first().map(|(_, claim)| claim.claim());
        let certificate = first.and_then(certificate_of);
        let vote = first.and_then(|message| match message {
            Message::Vote(vote) => Some(vote.vote),
            _ => None,
        });
        let vote_of = |(from, claim): &Claim| match claim.claim() {
            Message::Vote(vote) => Some((*from, vote.clone())),
            _ => None,
        };
        let votes: Option<(Vec<NodeId>, Vec<SignedVote>)> = self.0.iter().map(vote_of).collect();
        let results = match votes {
            Some((senders, votes)) => {
                senders.into_iter().zip(wire::verify_votes(committee, votes)).collect()
            }
            None => {
                let check = |(from, claim)| (from, wire::verify(committee, claim));
                self.0.into_iter().map(check).collect()
            }
        };
        Done { certificate, vote, results }
    }
}

fn certificate_of(message: &Message) -> Option<CertificateId> {
    match message {
        Message::Certificate(certificate) => Some(certificate.id),
        _ => None,
    }
}

/// What one peer has waiting.
#[derive(Debug)]
enum Item {
    /// A vote that waits with others on the same message.
    Vote(Vote),
    /// Anything that is checked alone.
    Alone(Unverified<Message>),
}

#[derive(Debug)]
struct Peer {
    queue: VecDeque<Item>,
    /// Votes of it in groups that gather; they are not in the queue yet.
    gathering: usize,
    trust: Bucket,
    suspect_until: Time,
}

/// Votes on one message.
#[derive(Debug, Default)]
struct Group {
    claims: BTreeMap<NodeId, Unverified<Message>>,
    /// Until then they gather, unless they decide something before. `None`: they are queued.
    until: Option<Time>,
}

/// Everything that waits for a check.
#[derive(Debug)]
pub struct Checks {
    peers: Vec<Peer>,
    /// Peers with something in their queue, each once.
    ready: VecDeque<NodeId>,
    /// The votes that wait, by what they say.
    votes: BTreeMap<Vote, Group>,
    /// The groups that gather, and until when.
    gathering: BTreeSet<(Time, Vote)>,
    /// Certificates that are being checked. The same one of another peer waits for the answer.
    checking: BTreeSet<CertificateId>,
    threads: usize,
    busy: usize,
    waiting: usize,
}

impl Checks {
    /// For a committee of `n` and so many workers.
    pub fn new(n: usize, threads: usize) -> Checks {
        let peer = || Peer {
            queue: VecDeque::new(),
            gathering: 0,
            trust: Bucket::FULL,
            suspect_until: Time(0),
        };
        Checks {
            peers: std::iter::repeat_with(peer).take(n).collect(),
            ready: VecDeque::new(),
            votes: BTreeMap::new(),
            gathering: BTreeSet::new(),
            checking: BTreeSet::new(),
            threads,
            busy: 0,
            waiting: 0,
        }
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// When the votes that gather longest are to be checked at last.
    pub fn deadline(&self) -> Option<Time> {
        self.gathering.first().map(|(until, _)| *until)
    }

    /// Adds a message of `from`, a member. `decides` says whether a vote concludes something if it
    /// is right, together with those of the other validators given.
    ///
    /// # Errors
    /// [`Reject::RateLimit`] if the peer sent too many wrong signatures, [`Reject::Full`] if too
    /// much of it waits, [`Reject::Duplicate`] for a vote of it that waits already.
    pub fn push(
        &mut self,
        now: Time,
        from: NodeId,
        claim: Unverified<Message>,
        decides: impl FnOnce(Vote, &mut dyn Iterator<Item = NodeId>) -> bool,
    ) -> Result<(), Reject> {
        let peer = &mut self.peers[from.index()];
        if !peer.trust.has(now, TRUST) {
            return Err(Reject::RateLimit);
        }
        if peer.queue.len() + peer.gathering >= MAX_WAITING {
            return Err(Reject::Full);
        }
        match claim.claim() {
            Message::Vote(vote) if now >= peer.suspect_until => {
                let vote = vote.vote;
                let group = self.votes.entry(vote).or_insert_with(|| {
                    self.gathering.insert((now + GATHER, vote));
                    Group { claims: BTreeMap::new(), until: Some(now + GATHER) }
                });
                if group.claims.contains_key(&from) {
                    return Err(Reject::Duplicate);
                }
                group.claims.insert(from, claim);
                if group.until.is_none() {
                    self.enqueue(from, Item::Vote(vote));
                } else {
                    peer.gathering += 1;
                    if group.claims.len() >= MAX_TOGETHER
                        || decides(vote, &mut group.claims.keys().copied())
                    {
                        self.ripen(vote);
                    }
                }
            }
            _ => self.enqueue(from, Item::Alone(claim)),
        }
        self.waiting += 1;
        Ok(())
    }

    fn enqueue(&mut self, from: NodeId, item: Item) {
        let queue = &mut self.peers[from.index()].queue;
        if queue.is_empty() {
            self.ready.push_back(from);
        }
        queue.push_back(item);
    }

    /// The votes of a group have gathered long enough.
    fn ripen(&mut self, vote: Vote) {
        let Some(group) = self.votes.get_mut(&vote) else { return };
        let Some(until) = group.until.take() else { return };
        self.gathering.remove(&(until, vote));
        let voters: Vec<NodeId> = group.claims.keys().copied().collect();
        for voter in voters {
            self.peers[voter.index()].gathering -= 1;
            self.enqueue(voter, Item::Vote(vote));
        }
    }

    /// The next job, if a worker is free. What `look_again` refuses, or whose sender has lost its
    /// trust meanwhile, goes to `dropped`.
    pub fn next(
        &mut self,
        now: Time,
        mut look_again: impl FnMut(Claim) -> Result<Claim, Reject>,
        dropped: &mut Vec<(NodeId, Reject)>,
    ) -> Option<Job> {
        while let Some(&(until, vote)) = self.gathering.first()
            && until <= now
        {
            self.ripen(vote);
        }
        // Peers whose next certificate is being checked: each is passed over once.
        let mut blocked = 0;
        while self.busy < self.threads && blocked < self.ready.len() {
            let from = self.ready.pop_front()?;
            let peer = &mut self.peers[from.index()];
            let item = peer.queue.pop_front().expect("a ready peer has something waiting");
            let claims: Vec<Claim> = match item {
                Item::Alone(claim) => {
                    let id = certificate_of(claim.claim());
                    if id.is_some_and(|id| self.checking.contains(&id)) {
                        peer.queue.push_front(Item::Alone(claim));
                        self.ready.push_back(from);
                        blocked += 1;
                        continue;
                    }
                    vec![(from, claim)]
                }
                Item::Vote(vote) => self.take_group(from, vote),
            };
            if !self.peers[from.index()].queue.is_empty() {
                self.ready.push_back(from);
            }
            self.waiting -= claims.len();
            let mut job = Job(Vec::with_capacity(claims.len()));
            for (from, claim) in claims {
                if !self.peers[from.index()].trust.has(now, TRUST) {
                    dropped.push((from, Reject::RateLimit));
                    continue;
                }
                match look_again((from, claim)) {
                    Ok(claim) => job.0.push(claim),
                    Err(reason) => dropped.push((from, reason)),
                }
            }
            if let Some((_, claim)) = job.0.first() {
                self.checking.extend(certificate_of(claim.claim()));
                self.busy += 1;
                return Some(job);
            }
            blocked = 0;
        }
        None
    }

    /// The votes on `vote` that wait, that of `first` among them. They leave their queues.
    fn take_group(&mut self, first: NodeId, vote: Vote) -> Vec<Claim> {
        let mut group = self.votes.remove(&vote).expect("the queues and the groups agree");
        let own = group.claims.remove(&first).expect("the queues and the groups agree");
        let mut claims = vec![(first, own)];
        while claims.len() < MAX_TOGETHER
            && let Some((from, claim)) = group.claims.pop_first()
        {
            let queue = &mut self.peers[from.index()].queue;
            let place = queue.iter().position(|item| matches!(item, Item::Vote(v) if *v == vote));
            queue.remove(place.expect("the queues and the groups agree"));
            claims.push((from, claim));
        }
        let peers = &self.peers;
        self.ready.retain(|peer| !peers[peer.index()].queue.is_empty());
        if !group.claims.is_empty() {
            self.votes.insert(vote, group);
        }
        claims
    }

    /// A job came back: its worker is free, and its liars are charged.
    pub fn done(&mut self, now: Time, done: &Done) {
        self.busy -= 1;
        if let Some(id) = done.certificate {
            self.checking.remove(&id);
        }
        // What came meanwhile may decide together with what was checked.
        if let Some(vote) = done.vote {
            self.ripen(vote);
        }
        for (from, result) in &done.results {
            if let Err(reason) = result {
                self.blame(now, *from, *reason);
            }
        }
    }

    /// Charges `from`, a member, if the reason is a lie of its own.
    pub fn blame(&mut self, now: Time, from: NodeId, reason: Reject) {
        if is_lie(reason) {
            let peer = &mut self.peers[from.index()];
            peer.trust.take(now, TRUST);
            peer.suspect_until = now + SUSPICION;
        }
    }

    /// True if the peer may cost this node a signature check.
    pub fn trusts(&mut self, now: Time, peer: NodeId) -> bool {
        self.peers[peer.index()].trust.has(now, TRUST)
    }
}

#[cfg(test)]
mod tests;

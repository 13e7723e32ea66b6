//! The thread of the database: what it is asked to do, and what comes first.
//!
//! A commit is what the node's next vote waits for; a load is a block that some peer wants, read,
//! checked and encoded again. So commits overtake whatever else waits: a peer that asks for many
//! blocks delays a vote by one of them at most. The driver hands in one commit at a time, so commits
//! keep their order, and nothing else starves. What is read late has seen more, never less.

use super::super::driver::Arrival;
use super::super::net::counters::Counters;
use super::super::store::Store;
use super::OnCommit;
use crate::protocol::types::NodeId;
use crate::protocol::{Query, Record};
use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Something for the thread to do.
pub(super) enum Job {
    /// Make these durable.
    Commit(Vec<Record>),
    /// Read for a peer.
    Load(Query),
    /// Read for a client.
    Read(Box<dyn FnOnce(&mut Store) + Send>),
    /// The node is gone.
    Close,
}

/// Jobs in the order in which they are done.
struct Jobs {
    incoming: Receiver<Job>,
    /// Whatever commits have overtaken.
    later: VecDeque<Job>,
}

impl Jobs {
    /// The next job; `None` if nobody can hand one in any more.
    fn next(&mut self) -> Option<Job> {
        while let Ok(job) = self.incoming.try_recv() {
            if matches!(job, Job::Commit(_)) {
                return Some(job);
            }
            self.later.push_back(job);
        }
        self.later.pop_front().or_else(|| self.incoming.recv().ok())
    }
}

/// Works for the store until the node is gone.
pub(super) fn serve(
    me: NodeId,
    mut store: Store,
    jobs: Receiver<Job>,
    node: &mpsc::Sender<Arrival>,
    counters: &Counters,
    mut committed: OnCommit,
) {
    let mut jobs = Jobs { incoming: jobs, later: VecDeque::new() };
    while let Some(job) = jobs.next() {
        let answer = match job {
            Job::Commit(records) => {
                let begun = Instant::now();
                let result = store.commit(&records);
                let took = begun.elapsed();
                counters.committed(took, result.is_ok());
                committed(took);
                if let Err(error) = &result {
                    let node = me.0;
                    tracing::error!(node, %error, "the database failed; this node stops voting");
                }
                Arrival::Committed(result)
            }
            Job::Load(query) => match store.load(query) {
                Ok(stored) => Arrival::Loaded(query, stored),
                Err(error) => {
                    tracing::warn!(node = me.0, %error, "the database could not read");
                    Arrival::Loaded(query, query.nothing())
                }
            },
            Job::Read(read) => {
                read(&mut store);
                continue;
            }
            Job::Close => return,
        };
        if node.blocking_send(answer).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::store::Identity;
    use super::*;
    use crate::protocol::types::{Hash, Slot};
    use crate::protocol::vote::{Vote, VoteKind};
    use redb::backends::InMemoryBackend;

    fn load(slot: u64) -> Job {
        Job::Load(Query::Proofs(Slot(slot)))
    }

    fn commit(slot: u64) -> Job {
        Job::Commit(vec![Record::Vote(Vote::new(Slot(slot), VoteKind::Skip))])
    }

    fn slot(answer: &Arrival) -> Option<u64> {
        match answer {
            Arrival::Loaded(Query::Proofs(slot), _) => Some(slot.0),
            Arrival::Committed(Ok(())) => None,
            other => panic!("{other:?}"),
        }
    }

    /// The order of what is done matters here, not the time that it takes.
    #[test]
    fn commits_overtake_loads() {
        const LOADS: u64 = 100;
        let identity = Identity { cluster: Hash([7; 32]), node: NodeId(0) };
        let (store, _) = Store::open(InMemoryBackend::new(), &identity, 1 << 20).unwrap();
        let (jobs, work) = std::sync::mpsc::channel();
        // So little room for answers that the thread waits for the node between two loads.
        let (node, mut answers) = mpsc::channel(1);
        (0..LOADS).for_each(|slot| jobs.send(load(slot)).unwrap());
        jobs.send(commit(1)).unwrap();
        let thread = std::thread::spawn(move || {
            let ignored = Box::new(|_| ());
            serve(NodeId(0), store, work, &node, &Counters::default(), ignored);
        });
        let mut next = || answers.blocking_recv().map(|answer| slot(&answer));
        assert_eq!(next(), Some(None), "what was handed in last comes first");
        let mut done = vec![next().unwrap()];
        jobs.send(commit(2)).unwrap();
        jobs.send(Job::Close).unwrap();
        done.extend(std::iter::from_fn(&mut next));
        let at = done.iter().position(Option::is_none).unwrap();
        // One answer waits for the node, one for room, and one load may have begun.
        assert!(at <= 3, "{at} loads came before the commit");
        let loads: Vec<u64> = done.into_iter().flatten().collect();
        assert!(loads.into_iter().eq(0..LOADS), "each once, in order, and before the end");
        thread.join().unwrap();
    }
}

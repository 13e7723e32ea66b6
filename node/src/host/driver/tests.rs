//! The driver between a scripted node and a world that writes down what it is told.

use super::*;
use crate::crypto::Scheme;
use crate::protocol::block::tests::block_with;
use crate::protocol::committee::tests::{committee, secrets};
use crate::protocol::event::Standing;
use crate::protocol::types::Slot;
use crate::protocol::vote::VoteKind;
use std::collections::VecDeque;

/// What a world was told.
#[derive(Default)]
struct World {
    sent: usize,
    commits: Vec<usize>,
    delivered: Vec<Slot>,
    observed: Vec<Event>,
}

impl Env for World {
    fn now(&self) -> Time {
        Time(0)
    }

    async fn next(&mut self, _deadline: Option<Time>, arrivals: &mut Vec<Arrival>) {
        arrivals.push(Arrival::Stop);
    }

    fn send(&mut self, _to: NodeId, _datagram: Datagram, _label: u64) {
        self.sent += 1;
    }

    fn commit(&mut self, records: Vec<Record>) {
        self.commits.push(records.len());
    }

    fn load(&mut self, _query: Query) {}

    fn deliver(&mut self, block: Arc<Block>, _transactions: Arc<[TransactionId]>) {
        self.delivered.push(block.id().slot);
    }

    fn observe(&mut self, event: Event) {
        self.observed.push(event);
    }

    fn refused(&mut self, _reason: Refused) {}
}

/// A node that answers each timer with the next effects of a script.
#[derive(Default)]
struct Script(VecDeque<Vec<Effect>>);

impl Doorway for Script {
    fn precheck(&self, _from: NodeId, _bytes: &[u8]) -> Result<Unverified<Message>, Reject> {
        Err(Reject::Malformed)
    }

    fn verify(&self, _claim: Unverified<Message>) -> Result<Verified<Message>, Reject> {
        Err(Reject::Malformed)
    }

    fn step(&mut self, _now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Timer(_) => out.extend(self.0.pop_front().unwrap_or_default()),
            Input::StorageFailed => {
                let event = Event::Standing(Standing::Observing);
                out.push(Effect::Observe { event, after: None });
            }
            _ => {}
        }
    }
}

fn driver() -> Driver<World, Script> {
    let committee = Arc::new(committee(&[1, 1]));
    let me = NodeId(0);
    let link = Link::new(&committee, me, &secrets(0).2, 1).unwrap();
    let keys = Keys::from_seed(Scheme::Null, &[1; 32]);
    Driver::new(World::default(), Script::default(), me, committee, keys, link, Vec::new())
}

impl Driver<World, Script> {
    fn play(&mut self, effects: Vec<Effect>) {
        self.node.0.push_back(effects);
        self.inputs.push_back(Input::Timer(Timer::CatchUp));
        self.work_off(Time(0));
        self.commit(Time(0));
    }

    fn committed(&mut self, result: Result<(), StoreError>) {
        self.receive(Arrival::Committed(result), Time(0));
        self.work_off(Time(0));
        self.commit(Time(0));
    }
}

/// A vote, and a delivery, that wait for `token`.
fn step(token: u64) -> (Vec<Effect>, std::sync::Weak<Block>) {
    let after = Token(token);
    let block = Arc::new(block_with(Slot(token), Vec::new()));
    let weak = Arc::downgrade(&block);
    let vote = Vote::new(Slot(token), VoteKind::Skip);
    let records = vec![Record::Vote(vote), Record::Block(block.clone())];
    let message = Message::Response(token, Answer::Nack);
    let effects = vec![
        Effect::Note(Record::Produced(Slot(token))),
        Effect::Persist { token: after, records },
        Effect::Observe { event: Event::VoteCast(vote), after: Some(after) },
        Effect::Send { to: Recipients::One(NodeId(1)), message, after: Some(after) },
        Effect::Deliver { block, transactions: [].into(), after },
    ];
    (effects, weak)
}

#[test]
fn what_waits_for_the_disk_leaves_when_it_is_durable() {
    let mut driver = driver();
    driver.play(step(1).0);
    driver.play(step(2).0);
    assert_eq!((driver.env.sent, &driver.env.commits[..]), (0, &[3][..]), "one at a time");
    driver.committed(Ok(()));
    assert_eq!((driver.env.sent, &driver.env.delivered[..]), (1, &[Slot(1)][..]));
    driver.committed(Ok(()));
    assert_eq!((driver.env.sent, &driver.env.delivered[..]), (2, &[Slot(1), Slot(2)][..]));
    assert!(driver.held.is_empty());
}

/// The node follows the cluster after a failed write, maybe for weeks.
#[test]
fn after_a_failed_write_nothing_waits_and_nothing_leaves() {
    let mut driver = driver();
    let mut blocks = Vec::new();
    for token in 1..=3 {
        let (effects, block) = step(token);
        driver.play(effects);
        blocks.push(block);
        if token == 1 {
            driver.committed(Ok(()));
        }
    }
    driver.committed(Err(StoreError::Failed));
    for token in 4..=100 {
        let (effects, block) = step(token);
        driver.play(effects);
        blocks.push(block);
    }
    assert!(driver.held.is_empty() && driver.records.is_empty());
    assert!(blocks.iter().all(|block| block.strong_count() == 0), "no block stays");
    let World { sent, commits, delivered, observed } = &driver.env;
    assert_eq!((*sent, commits.len(), &delivered[..]), (1, 2, &[Slot(1)][..]));
    let vote = Event::VoteCast(Vote::new(Slot(1), VoteKind::Skip));
    assert_eq!(observed[..], [vote, Event::Standing(Standing::Observing)]);
    // What waits for nothing, or for what was durable before, leaves as ever.
    let message = Message::Response(0, Answer::Nack);
    let to = Recipients::One(NodeId(1));
    driver.play(vec![Effect::Send { to, message, after: Some(Token(1)) }]);
    assert_eq!(driver.env.sent, 2);
}

//! What stands between the state of the world and the code that runs in it: locks, programs, and
//! the observer.
//!
//! The state is never locked while foreign code runs. Programs are polled by the runtime, the
//! observer is called after the state is unlocked, and a crash kills a program only then, because
//! its destructors may use their port.

use super::disk::{CrashMode, Disk};
use super::engine::State;
use super::node::Note;
use super::observe::{NodeEvent, Observer, lock};
use super::port::Port;
use super::{Config, Payload, Stop, runner};
use madsim::runtime::Handle;
use madsim::task::NodeId;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll};

/// What every node runs.
pub(super) type Program<P> =
    Arc<dyn Fn(Port<P>) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

/// Everything that handles and ports share.
pub(super) struct Shared<P: Payload> {
    pub state: Mutex<State<P>>,
    /// World time for disks.
    pub now_ns: Arc<AtomicU64>,
    pub program: Mutex<Option<Program<P>>>,
    runtime: Handle,
    /// The runtime's name of each node that was ever started.
    runtime_nodes: Mutex<Vec<Option<NodeId>>>,
    /// Mirrors `State::observed`, to be asked without a lock.
    observed: AtomicBool,
    watch: Mutex<Watch<P>>,
}

struct Watch<P> {
    observer: Option<Box<dyn Observer<P>>>,
    /// Empty between two calls; kept for its capacity.
    notes: Vec<Note<P>>,
}

impl<P: Payload> Shared<P> {
    pub(super) fn new(config: Config) -> Shared<P> {
        let now_ns = Arc::new(AtomicU64::new(0));
        Shared {
            runtime: Handle::current(),
            runtime_nodes: Mutex::new(vec![None; config.nodes]),
            program: Mutex::new(None),
            observed: AtomicBool::new(false),
            watch: Mutex::new(Watch { observer: None, notes: Vec::new() }),
            state: Mutex::new(State::new(config, Arc::clone(&now_ns))),
            now_ns,
        }
    }

    /// Takes the next events off the queue until a node other than `me` is woken, `me` has
    /// something in its inbox, or the pump is to stop. Returns who has the baton now.
    #[inline]
    pub(super) fn advance(self: &Arc<Self>, me: Option<usize>) -> Option<usize> {
        let (spawn, holder) = {
            let mut state = lock(&self.state);
            (state.advance(me), state.holder)
        };
        self.observe();
        if let Some(node) = spawn {
            self.spawn(node);
        }
        holder
    }

    pub(super) fn poll_pump(self: &Arc<Self>, context: &mut Context<'_>) -> Poll<Stop> {
        {
            let mut state = lock(&self.state);
            if state.stop.is_none() {
                state.pump = Some(context.waker().clone());
            }
        }
        self.advance(None);
        lock(&self.state).stop.take().map_or(Poll::Pending, Poll::Ready)
    }

    pub(super) fn start(&self, index: usize) {
        let mut state = lock(&self.state);
        let node = &mut state.nodes[index];
        assert!(!node.up, "node {index} is already running");
        node.up = true;
        node.spawned = false;
        node.incarnation += 1;
        let incarnation = node.incarnation;
        lock(&node.disk).attach(incarnation);
        let origin_ns = state.boot_time(index, incarnation);
        state.nodes[index].clock.reboot(origin_ns);
        state.ready.push_back(index);
    }

    pub(super) fn crash(&self, index: usize, mode: CrashMode) {
        drop(self.watch());
        let running = {
            let mut state = lock(&self.state);
            let now_ns = state.now_ns;
            let node = &mut state.nodes[index];
            lock(&node.disk).crash(now_ns, mode);
            let running = node.up && node.spawned;
            node.go_down();
            state.dying += usize::from(running);
            state.note(index, NodeEvent::Crashed(mode));
            running
        };
        // Its tasks are dropped by the runtime before the next event: `dying` waits for it.
        if let Some(id) = lock(&self.runtime_nodes)[index].filter(|_| running) {
            self.runtime.kill(id);
        }
        self.observe();
    }

    pub(super) fn pause(&self, index: usize) {
        drop(self.watch());
        {
            let mut state = lock(&self.state);
            let node = &mut state.nodes[index];
            if !node.up || node.paused {
                return;
            }
            node.paused = true;
            state.note(index, NodeEvent::Paused);
            state.take_baton(index);
        }
        if let Some(id) = lock(&self.runtime_nodes)[index] {
            self.runtime.pause(id);
        }
        self.observe();
    }

    pub(super) fn resume(&self, index: usize) {
        drop(self.watch());
        {
            let mut state = lock(&self.state);
            let node = &mut state.nodes[index];
            if !node.paused {
                return;
            }
            node.paused = false;
            state.note(index, NodeEvent::Resumed);
            state.ready.push_back(index);
        }
        if let Some(id) = lock(&self.runtime_nodes)[index] {
            self.runtime.resume(id);
        }
        self.observe();
    }

    /// Does something with the disk of a node as it is now.
    pub(super) fn with_disk(&self, node: usize, code: impl FnOnce(&mut Disk)) {
        let state = lock(&self.state);
        let mut disk = lock(&state.nodes[node].disk);
        disk.settle(state.now_ns);
        code(&mut disk);
    }

    pub(super) fn set_observer(&self, observer: Box<dyn Observer<P>>) {
        self.watch().observer = Some(observer);
        self.observed.store(true, Ordering::Relaxed);
        lock(&self.state).observed = true;
    }

    /// Tells the observer about a packet that is being sent.
    pub(super) fn observe_sent(&self, at_ns: u64, from: usize, to: usize, label: u64, payload: &P) {
        if let Some(observer) = &mut self.watch().observer {
            runner::as_harness(|| observer.sent(at_ns, from, to, label, payload));
        }
    }

    /// Tells the observer what has been noted. The state must not be locked.
    #[inline]
    pub(super) fn observe(&self) {
        if self.observed.load(Ordering::Relaxed) {
            self.tell();
        }
    }

    fn tell(&self) {
        let mut watch = self.watch();
        let Watch { observer: Some(observer), notes } = &mut *watch else { return };
        std::mem::swap(notes, &mut lock(&self.state).notes);
        runner::as_harness(|| {
            for note in notes.drain(..) {
                match note {
                    Note::Delivered { at_ns, flight } => {
                        let (from, to) = (usize::from(flight.from), usize::from(flight.to));
                        observer.delivered(at_ns, from, to, flight.label, &flight.payload);
                    }
                    Note::Dropped { at_ns, flight, cause } => {
                        let (from, to) = (usize::from(flight.from), usize::from(flight.to));
                        observer.dropped(at_ns, from, to, flight.label, &flight.payload, cause);
                    }
                    Note::Node { at_ns, node, event } => observer.node(at_ns, node, event),
                }
            }
        });
    }

    fn watch(&self) -> MutexGuard<'_, Watch<P>> {
        match self.watch.try_lock() {
            Ok(watch) => watch,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => panic!("an observer must not change a node"),
        }
    }

    fn spawn(self: &Arc<Self>, node: usize) {
        let known = lock(&self.runtime_nodes)[node];
        if let Some(id) = known {
            self.runtime.restart(id);
            return;
        }
        let shared = Arc::clone(self);
        let init = move || run_program(&shared, node);
        let built = self.runtime.create_node().name(format!("node-{node}")).init(init).build();
        lock(&self.runtime_nodes)[node] = Some(built.id());
    }
}

/// The task of a node.
fn run_program<P: Payload>(
    shared: &Arc<Shared<P>>,
    node: usize,
) -> impl Future<Output = ()> + use<P> {
    let incarnation = lock(&shared.state).nodes[node].incarnation;
    let program = lock(&shared.program).clone().expect("a program is set before a node starts");
    let port = Port::new(Arc::clone(shared), node, incarnation);
    // Made here and not inside, so that it also ends a task that was never polled.
    let ended = Ended { shared: Arc::clone(shared), node, incarnation };
    async move {
        let _ended = ended;
        program(port).await;
    }
}

/// Reports the end of a program, whether it returned or was killed.
struct Ended<P: Payload> {
    shared: Arc<Shared<P>>,
    node: usize,
    incarnation: u32,
}

impl<P: Payload> Drop for Ended<P> {
    fn drop(&mut self) {
        lock(&self.shared.state).program_ended(self.node, self.incarnation);
    }
}

//! Starts the one run of a process and catches what it dies of.
//!
//! The problem: the runtime underneath is deterministic only in a fresh process on a fresh thread
//! (statics, cached hash keys, process-wide counters), and a panic inside it says neither which
//! node panicked nor when. Our way: `run` refuses to be called twice, moves to a thread of its own
//! with a large stack, and remembers for each moment which node is handling an event, so that a
//! panic can be put at somebody's door.

use madsim::runtime::Runtime;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Stack of the thread that runs the world: deep recursion of a node should be its own problem.
const STACK_BYTES: usize = 256 << 20;

static STARTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whose code is running, and the world time.
    static NOW: Cell<(Option<usize>, u64)> = const { Cell::new((None, 0)) };
    /// True on the thread of the world.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The latest panic: the one that ended the run, if it has ended.
    static PANIC: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// A run ended in a panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} panicked at {at_ns} ns: {message}", self.who())]
pub struct Panicked {
    /// The node that was handling an event; `None` if it was the harness or the world itself.
    pub node: Option<usize>,
    /// World time, in nanoseconds.
    pub at_ns: u64,
    /// The message and the place in the source.
    pub message: String,
}

impl Panicked {
    fn who(&self) -> String {
        self.node.map_or_else(|| "the harness".to_owned(), |node| format!("node {node}"))
    }
}

/// Runs `main` as the supervisor of a world, on a fresh thread, and returns what it returns.
///
/// `seed` seeds the runtime underneath: its task order, `getrandom` and `RandomState`, which only
/// third-party code uses. The world has a seed of its own in [`Config`](super::Config).
///
/// # Errors
/// If anything panicked: a node, an observer or `main`. The message is not printed.
///
/// # Panics
/// If it is called a second time in one process: that would be a different run under the same seed.
/// Start another process ([`crate::testing`] does it for tests).
pub fn run<T, F, Fut>(seed: u64, main: F) -> Result<T, Panicked>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T>,
{
    assert!(
        !STARTED.swap(true, Ordering::SeqCst),
        "one process, one run: a second one would not be reproducible; start another process"
    );
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(
        move |info| {
            if INSIDE.get() { record(info) } else { previous(info) }
        },
    ));
    let inside = move || {
        INSIDE.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
            // Never dropped: destructors of nodes must not run with no world around them, and the
            // process is about to end.
            let runtime = std::mem::ManuallyDrop::new(runtime);
            runtime.block_on(main())
        }));
        result.map_err(|_| PANIC.take().expect("every panic has been recorded"))
    };
    std::thread::Builder::new()
        .name("world".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(inside)
        .expect("a thread can be started")
        .join()
        .expect("the thread catches every panic")
}

/// Notes who is going to run now.
#[inline]
pub(super) fn set_now(node: Option<usize>, at_ns: u64) {
    NOW.set((node, at_ns));
}

/// Runs harness code in the middle of a node's event: a panic in it is not the node's.
pub(super) fn as_harness<T>(code: impl FnOnce() -> T) -> T {
    let (node, at_ns) = NOW.get();
    NOW.set((None, at_ns));
    let result = code();
    NOW.set((node, at_ns));
    result
}

fn record(info: &PanicHookInfo<'_>) {
    let (node, at_ns) = NOW.get();
    let text = match info.payload_as_str() {
        // What the runtime says when no task is ready and no timer is set.
        Some(text) if text.starts_with("no events, all tasks will block forever") => {
            "it waits for something other than its port that never comes"
        }
        Some(text) => text,
        None => "a panic without a message",
    };
    let message = match info.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text.to_owned(),
    };
    PANIC.set(Some(Panicked { node, at_ns, message }));
}

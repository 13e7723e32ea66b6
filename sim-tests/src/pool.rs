//! Many runs at once: as many child processes as asked for, and one way to stop them all.
//!
//! The results are handed over with the number of their task, and nobody may draw conclusions from
//! the order in which they come: then the number of jobs changes how long it takes and nothing
//! else. [`Stop`] is the one switch: a budget that runs out lets the runs under way finish, Ctrl-C
//! kills them (a run that was cut short says nothing), and a second Ctrl-C ends the program.

use std::collections::BTreeMap;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

/// When to start nothing new, and whom to kill.
#[derive(Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    killed: AtomicBool,
    until: Option<Instant>,
    tickets: AtomicU64,
    children: Mutex<BTreeMap<u64, Child>>,
    nested: Mutex<Vec<Weak<Inner>>>,
}

/// The time on the wall.
#[expect(clippy::disallowed_methods, reason = "budgets are wall time, outside the simulation")]
pub fn wall() -> Instant {
    Instant::now()
}

impl Stop {
    /// Stops after this much time on the wall, if given.
    pub fn after(budget: Option<Duration>) -> Stop {
        let until = budget.map(|budget| wall() + budget);
        Stop(Arc::new(Inner { until, ..Inner::default() }))
    }

    /// Stops on Ctrl-C and on a request to terminate, too. Once per process.
    pub fn on_interrupt(self) -> anyhow::Result<Stop> {
        let stop = self.clone();
        ctrlc::set_handler(move || {
            if stop.is_killed() {
                std::process::exit(130);
            }
            eprintln!("\nstopping; what is done is kept (again to give up at once)");
            stop.kill();
        })?;
        Ok(self)
    }

    /// A switch of its own that this one switches, too: for a part of the work.
    pub fn nested(&self) -> Stop {
        let until = self.0.until;
        let inner = Arc::new(Inner { until, ..Inner::default() });
        let mut nested = lock(&self.0.nested);
        nested.retain(|other| other.strong_count() > 0);
        nested.push(Arc::downgrade(&inner));
        let stop = Stop(inner);
        if self.is_killed() {
            stop.kill();
        }
        stop
    }

    /// True if nothing new should be started.
    pub fn is_over(&self) -> bool {
        self.is_killed() || self.0.until.is_some_and(|until| wall() >= until)
    }

    /// True if runs under way are not to finish either.
    pub fn is_killed(&self) -> bool {
        self.0.killed.load(Ordering::SeqCst)
    }

    /// Kills all runs under way, and all later ones.
    pub fn kill(&self) {
        self.0.killed.store(true, Ordering::SeqCst);
        for child in self.children().values_mut() {
            let _ = child.kill(); // it may have ended by itself
        }
        for nested in lock(&self.0.nested).iter().filter_map(Weak::upgrade) {
            Stop(nested).kill();
        }
    }

    fn children(&self) -> MutexGuard<'_, BTreeMap<u64, Child>> {
        lock(&self.0.children)
    }

    /// Takes care of a child.
    pub(crate) fn adopt(&self, mut child: Child) -> u64 {
        let ticket = self.0.tickets.fetch_add(1, Ordering::Relaxed);
        let mut children = self.children();
        if self.is_killed() {
            let _ = child.kill();
        }
        children.insert(ticket, child);
        ticket
    }

    /// Waits for a child whose output has ended.
    pub(crate) fn release(&self, ticket: u64) -> std::io::Result<ExitStatus> {
        let child = self.children().remove(&ticket);
        child.expect("every child is released once").wait()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does `work` for each task in `jobs` threads, and hands each result to `done` here, in the order
/// in which they come. Tasks are started in order. `None` as a result is dropped: it was stopped.
///
/// # Errors
/// The first error of `work`; nothing new is started after it.
pub fn each<T: Sync, R: Send>(
    jobs: usize,
    tasks: &[T],
    stop: &Stop,
    work: impl Fn(&T) -> anyhow::Result<Option<R>> + Sync,
    mut done: impl FnMut(usize, R),
) -> anyhow::Result<()> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (send, receive) = mpsc::channel();
    let mut error = None;
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, tasks.len().max(1)) {
            let send = send.clone();
            scope.spawn(|| {
                let send = send;
                while !stop.is_over() && !failed.load(Ordering::SeqCst) {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(task) = tasks.get(index) else { break };
                    let result = work(task);
                    failed.fetch_or(result.is_err(), Ordering::SeqCst);
                    if send.send((index, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (index, result) in receive {
            match result {
                Ok(Some(result)) => done(index, result),
                Ok(None) => {}
                Err(failure) => error = error.take().or(Some(failure)),
            }
        }
    });
    error.map_or(Ok(()), Err)
}

/// As many jobs as there are processors.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_whatever_the_number_of_jobs() {
        let tasks: Vec<u64> = (0..50).collect();
        for jobs in [1, 3, 100] {
            let mut results = vec![0; 50];
            let work = |task: &u64| Ok((*task != 7).then_some(task * 2));
            each(jobs, &tasks, &Stop::default(), work, |index, r| results[index] += r).unwrap();
            let expected = |task: &u64| if *task == 7 { 0 } else { task * 2 };
            assert_eq!(results, tasks.iter().map(expected).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_ends_it_and_a_budget_of_nothing_starts_nothing() {
        let tasks = [1, 2, 3, 4, 5, 6, 7, 8];
        let work = |task: &i32| match task {
            2 => Err(anyhow::anyhow!("two")),
            _ => Ok(Some(*task)),
        };
        let mut seen = Vec::new();
        let error = each(1, &tasks, &Stop::default(), work, |_, r| seen.push(r)).unwrap_err();
        assert_eq!((error.to_string().as_str(), seen.as_slice()), ("two", &[1][..]));
        let over = Stop::after(Some(Duration::ZERO));
        assert!(over.is_over() && !over.is_killed());
        each(2, &tasks, &over, work, |_, _| panic!("nothing runs")).unwrap();
    }

    #[test]
    fn killing_ends_the_children() {
        let stop = Stop::default();
        let sleep = || std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let early = stop.adopt(sleep());
        stop.kill();
        assert!(!stop.release(early).unwrap().success());
        assert!(stop.nested().is_killed());
        let late = stop.adopt(sleep());
        assert!(!stop.release(late).unwrap().success());
    }
}

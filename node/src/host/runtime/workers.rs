//! Threads that check signatures and nothing else.

use super::super::driver::Arrival;
use super::super::net::counters::{Counter, Counters};
use super::super::verify::Job;
use crate::protocol::committee::Committee;
use crate::protocol::types::NodeId;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// More would only help a committee of thousands.
const MAX_THREADS: usize = 8;

/// As many as there are processors, within a cap.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| usize::from(n).div_ceil(2)).min(MAX_THREADS)
}

/// Starts the threads. They end when the sender of jobs is dropped, or nobody hears them.
pub(super) fn start(
    me: NodeId,
    committee: &Arc<Committee>,
    answers: &tokio::sync::mpsc::Sender<Arrival>,
    counters: &Arc<Counters>,
) -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for number in 0..threads() {
        let (jobs, committee) = (jobs.clone(), committee.clone());
        let (answers, counters) = (answers.clone(), counters.clone());
        let work = move || {
            let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(job) = next() {
                let size = job.size() as u64;
                let how = if size > 1 { Counter::CheckedTogether } else { Counter::CheckedAlone };
                let done = job.run(&committee);
                let wrong = done.results.iter().filter(|(_, result)| result.is_err()).count();
                counters.add(how, size);
                counters.add(Counter::CheckFailed, wrong as u64);
                if answers.blocking_send(Arrival::Checked(done)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name(format!("verify-{me}-{number}")).spawn(work)?;
    }
    Ok(sender)
}

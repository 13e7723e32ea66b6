//! What a whole process needs of the runtime: something to block on, signals, pauses, threads and
//! a stream out of a thread. Here, so that the program around the node names no runtime either.

use bytes::Bytes;
use futures_core::Stream;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Chunks of a stream that wait for a slow reader at most.
const CHUNKS: usize = 16;
/// Bytes of a chunk, about.
const CHUNK_BYTES: usize = 64 << 10;

/// Runs a program on a runtime of its own, with as many threads as there are processors.
pub fn block_on<F: Future>(program: F) -> io::Result<F::Output> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(program))
}

/// Runs beside the rest until it ends or the runtime does.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Waits.
pub async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Ctrl-C (SIGINT) and SIGTERM, from the moment this is made.
#[derive(Debug)]
pub struct Interrupt(mpsc::Receiver<()>);

impl Interrupt {
    /// Listens from now on, on the current runtime.
    pub fn listen() -> io::Result<Interrupt> {
        let (sender, receiver) = mpsc::channel(1);
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let mut signals = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    let _ = sender.try_send(());
                }
            });
        }
        Ok(Interrupt(receiver))
    }

    /// Returns at the next signal.
    pub async fn arrived(&mut self) {
        let _ = self.0.recv().await;
    }

    /// Returns true at the next signal, or false after `time`.
    pub async fn arrived_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.arrived()).await.is_ok()
    }
}

/// Runs `write` on a thread of its own; what it writes is the stream. A reader that goes away is
/// an error for the writer.
pub fn stream(
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut writer = io::BufWriter::with_capacity(CHUNK_BYTES, Chunks(sender.clone()));
        let written = write(&mut writer).and_then(|()| io::Write::flush(&mut writer));
        if let Err(error) = written {
            let _ = sender.blocking_send(Err(error));
        }
    });
    Received(receiver)
}

struct Chunks(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Ok(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Received(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Received {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(ready!(self.0.poll_recv(cx)))
    }
}

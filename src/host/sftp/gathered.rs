//! Collects requests that are made in quick succession, so that they are sent together.
//!
//! The client writes each request as soon as it finds it, in a separate task. ssh turns whatever it reads into a
//! packet, with padding and a checksum, and flushes its compression there. For small packets, this overhead is half of
//! the traffic. So nothing is written while requests are being made. The gate must never be held while waiting for
//! anything.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::AsyncWrite;

/// Shows the writer whether more requests are about to follow.
#[derive(Debug, Default)]
pub(super) struct Gate {
    holders: AtomicUsize,
    writer: AtomicWaker,
}

impl Gate {
    /// Pauses writing until the returned guard is dropped.
    pub(super) fn hold(self: &Arc<Self>) -> WritesPaused {
        self.holders.fetch_add(1, Ordering::SeqCst);
        WritesPaused(Arc::clone(self))
    }

    fn is_held(&self) -> bool {
        self.holders.load(Ordering::SeqCst) > 0
    }
}

/// A guard that pauses writing while it exists.
pub(super) struct WritesPaused(Arc<Gate>);

impl Drop for WritesPaused {
    fn drop(&mut self) {
        if self.0.holders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.writer.wake();
        }
    }
}

/// A stream that is only written to while its gate is open.
pub(super) struct Gathered<W> {
    to: W,
    gate: Arc<Gate>,
}

impl<W> Gathered<W> {
    pub(super) fn new(to: W, gate: &Arc<Gate>) -> Self {
        let gate = Arc::clone(gate);
        Self { to, gate }
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<()> {
        if !self.gate.is_held() {
            return Poll::Ready(());
        }
        self.gate.writer.register(context.waker());
        // The gate may have opened before the waker was registered.
        if self.gate.is_held() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Gathered<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(context));
        Pin::new(&mut self.to).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_open(context));
        Pin::new(&mut self.to).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.to.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_written_waits_until_no_one_holds_it() {
        let (near, mut far) = tokio::io::duplex(64);
        let gate = Arc::new(Gate::default());
        let mut near = Gathered::new(near, &gate);
        let (first, second) = (gate.hold(), gate.hold());
        let mut writing = Box::pin(near.write_all(b"one"));
        assert!(futures_util::poll!(writing.as_mut()).is_pending());
        drop(first);
        assert!(futures_util::poll!(writing.as_mut()).is_pending());
        let opening = async { drop(second) };
        let (written, ()) = futures_util::future::join(writing, opening).await;
        written.unwrap();
        let mut read = [0; 3];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"one");
    }
}

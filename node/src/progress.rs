//! Says in the log how far long work has come, and how long its step still takes.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(3);

/// One step of long work, which any number of threads may be at.
///
/// Says nothing where it is over within [`EVERY`].
pub struct Progress {
    step: &'static str,
    total: u64,
    began: Instant,
    done: AtomicU64,
    /// How many times [`EVERY`] had gone by when it was said last.
    said: AtomicU64,
}

impl Progress {
    /// Begins a step of so many things; 0 where nobody knows.
    pub fn begin(step: &'static str, total: usize) -> Self {
        let (done, said) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { step, total: total as u64, began: Instant::now(), done, said }
    }

    /// Counts so many more as done, and says so if it is time.
    pub fn add(&self, more: usize) {
        let done = self.done.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
        let gone = self.began.elapsed();
        let times = (gone.as_millis() / EVERY.as_millis()) as u64;
        if self.said.fetch_max(times, Ordering::Relaxed) < times {
            let (step, total) = (self.step, self.total);
            match left(gone, done, total) {
                Some(left) => {
                    tracing::info!(step, done, total, seconds_left = left.as_secs(), "still at it");
                }
                None => tracing::info!(step, done, "still at it"),
            }
        }
    }

    /// Counts the bytes that are read through it.
    pub fn reading<R: Read>(self, source: R) -> impl Read {
        Reading { source, progress: self }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        tracing::debug!(
            step = self.step,
            seconds = self.began.elapsed().as_secs_f64(),
            "a step is over"
        );
    }
}

/// How long the rest takes if it goes on as before.
fn left(gone: Duration, done: u64, total: u64) -> Option<Duration> {
    let rest = total.checked_sub(done).filter(|_| done > 0)?;
    Some(gone.mul_f64(rest as f64 / done as f64))
}

struct Reading<R> {
    source: R,
    progress: Progress,
}

impl<R: Read> Read for Reading<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.progress.add(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_was_done() {
        let seconds = Duration::from_secs;
        assert_eq!(left(seconds(6), 30, 40), Some(seconds(2)));
        assert_eq!(left(seconds(6), 40, 40), Some(seconds(0)));
        assert_eq!(left(seconds(6), 0, 40), None, "nothing is known yet");
        assert_eq!(left(seconds(6), 30, 0), None, "nor is how much there is");
    }

    #[test]
    fn a_source_that_is_counted_reads_the_same() {
        let text = b"forename,surname\nAnn,Example\n";
        let mut read = Vec::new();
        let mut counted = Progress::begin("read", text.len()).reading(&text[..]);
        counted.read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
    }
}

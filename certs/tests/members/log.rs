//! Reads the log, for tests about what is in it.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

/// One log for all tests: a subscriber of one thread misses events that another thread logged first.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(lines).unwrap();
    log
});

/// Begins to take the log down, if nobody has yet.
pub(crate) fn keep() {
    LazyLock::force(&LOG);
}

/// Returns the lines with all of these words in them.
pub(crate) fn lines(words: &[&str]) -> Vec<String> {
    let log = LOG.0.lock().unwrap();
    String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .map(str::to_owned)
        .collect()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

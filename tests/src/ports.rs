//! Ports for servers that are told theirs before they start.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::TcpListener,
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below those that Linux gives to whoever asks for any, and to every connection that goes out: nobody
/// takes one of these by accident while its server is not there yet, or not there again.
const PORTS: Range<u16> = 15_000..32_000;

/// How many were tried already, from a start of each process's own on.
static TRIED: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new(RandomState::new().hash_one(()) as u16));

/// Returns a port that nobody listens on, and never the same one again.
///
/// # Errors
/// Fails when all are taken.
pub fn free() -> io::Result<u16> {
    for _ in PORTS {
        let port = PORTS.start + TRIED.fetch_add(1, Ordering::Relaxed) % PORTS.len() as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "every port is taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_nobody_listens_on_it() {
        let ports = [free().unwrap(), free().unwrap(), free().unwrap()];
        assert!(ports.iter().all(|port| PORTS.contains(port)));
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
        let taken = TcpListener::bind(("127.0.0.1", ports[0]));
        assert!(taken.is_ok(), "{taken:?}");
    }
}

//! How we prove who we are, and whom we believe: one snapshot of certificate, key, CA and
//! revocation list, swapped as a whole while connections run.
//!
//! TLS 1.3 only, client certificates always, revocation checked in every handshake and a stale list
//! is an error. Sessions are never resumed: a ticket would let a peer back in without showing its
//! certificate. Connections are long, so nothing is lost.

mod lists;
mod snapshot;

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use self::snapshot::Snapshot;
pub use self::snapshot::TlsError;
use crate::{
    certificate::{Certificate, utc},
    files::IdentityFiles,
    name::Identity,
};

/// An ordinary connection: whoever dialled makes the calls.
pub(crate) const ALPN_H2: &[u8] = b"h2";

/// A connection made the other way round: whoever dialled answers the calls.
pub(crate) const ALPN_REVERSE: &[u8] = b"causeway-rev/1";

/// When less than this is left of our certificate or list, the log says so once a day.
const SOON: time::Duration = time::Duration::days(2);

/// The identity of this process and whom it believes, as of now. Cheap to clone.
///
/// New handshakes use the newest snapshot; connections that are up keep what they began with and
/// are ended by [`PeerStream`](crate::stream::PeerStream) when their peer is revoked.
#[derive(Clone)]
pub struct TlsState(Arc<Shared>);

struct Shared {
    current: ArcSwap<Snapshot>,
    reloaded: watch::Sender<()>,
}

// === impl TlsState ===

impl TlsState {
    /// Loads the files and checks that they make an identity that works at `now`.
    pub fn load(files: &IdentityFiles, now: OffsetDateTime) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Snapshot::first(files, now)?);
        Ok(Self(Arc::new(Shared { current, reloaded: watch::Sender::new(()) })))
    }

    /// Loads the files again. On an error nothing changes, with one exception: a revocation list
    /// that is good for the CA in use takes effect, whatever is wrong with the rest.
    pub fn reload(&self, files: &IdentityFiles, now: OffsetDateTime) -> Result<(), TlsError> {
        let current = self.current();
        match current.next(files, now) {
            Ok(next) => {
                self.take(next);
                Ok(())
            }
            Err(problem) => {
                if let Some(relisted) = current.relisted(files, now) {
                    let (until, revoked) = (utc(relisted.crl_until), relisted.revoked.len());
                    tracing::info!(crl_until = until, revoked, "took in a revocation list alone");
                    self.take(relisted);
                }
                Err(problem)
            }
        }
    }

    fn take(&self, next: Snapshot) {
        self.0.current.store(Arc::new(next));
        self.0.reloaded.send_replace(());
    }

    /// Looks at the files every so often, and reloads when they changed, until `stop` resolves.
    ///
    /// A failure is logged once and tried again, so files may be replaced one by one.
    pub async fn watch(
        self,
        files: IdentityFiles,
        every: Duration,
        stop: impl Future<Output = ()> + Send,
    ) {
        tokio::select! {
            () = stop => {}
            () = self.follow(files, every) => {}
        }
    }

    async fn follow(&self, files: IdentityFiles, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut in_use = None;
        let mut last_failure = String::new();
        let mut warned_on = None;
        loop {
            ticks.tick().await;
            let (state, files, before) = (self.clone(), files.clone(), in_use.clone());
            // Reading files and checking signatures is too slow for a thread that serves calls.
            let looked = spawn_blocking(move || {
                let digest = files.digest();
                let changed = before.as_ref() != Some(&digest);
                (digest, changed.then(|| state.reload(&files, clock())))
            });
            match looked.await {
                Ok((_, None)) => last_failure.clear(),
                Ok((digest, Some(Ok(())))) => {
                    if in_use.replace(digest).is_some() || !last_failure.is_empty() {
                        self.log_reload();
                    }
                    last_failure.clear();
                }
                Ok((_, Some(Err(error)))) => {
                    // The files that were good before may come back, and not be good any more.
                    in_use = None;
                    let failure = format!("{:#}", anyhow::Error::new(error));
                    if failure != last_failure {
                        tracing::error!(reason = failure, "kept the old identity in use");
                        last_failure = failure;
                    }
                }
                Err(error) => tracing::error!(%error, "could not look at the identity files"),
            }
            let today = clock().date();
            if warned_on != Some(today) && self.warn_of_the_end() {
                warned_on = Some(today);
            }
        }
    }

    fn log_reload(&self) {
        let now = self.current();
        tracing::info!(
            identity = %now.me.identity.short(),
            not_after = utc(now.me.not_after),
            crl_until = utc(now.crl_until),
            revoked = now.revoked.len(),
            "loaded a new identity"
        );
    }

    /// Warns when certificate or list is about to run out, and says whether it did.
    fn warn_of_the_end(&self) -> bool {
        let soon = clock() + SOON;
        let now = self.current();
        let (certificate, list) = (now.me.not_after < soon, now.crl_until < soon);
        if certificate {
            tracing::warn!(not_after = utc(now.me.not_after), "our certificate runs out soon");
        }
        if list {
            tracing::warn!(crl_until = utc(now.crl_until), "the revocation list runs out soon");
        }
        certificate || list
    }

    /// Returns who this process is.
    pub fn identity(&self) -> Identity {
        self.current().me.identity.clone()
    }

    /// Returns what our own certificate says.
    pub fn certificate(&self) -> Certificate {
        self.current().me.clone()
    }

    /// Returns the last moment at which peers accept our certificate.
    pub fn not_after(&self) -> OffsetDateTime {
        self.current().me.not_after
    }

    /// Returns the last moment at which we accept anybody, unless a new list arrives.
    pub fn crl_until(&self) -> OffsetDateTime {
        self.current().crl_until
    }

    /// Returns whether a certificate with this serial number is on the newest revocation list.
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        self.0.current.load().revoked.contains(serial)
    }

    /// Resolves when this serial number is on the newest revocation list.
    pub(crate) async fn revoked(&self, serial: &[u8]) {
        let mut reloaded = self.0.reloaded.subscribe();
        while !self.is_revoked(serial) {
            // The sender lives as long as we do.
            let _ = reloaded.changed().await;
        }
    }

    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.0.current.load_full()
    }
}

/// Shows who it is and nothing of the key.
impl fmt::Debug for TlsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsState({})", self.current().me.identity.short())
    }
}

/// Returns the time. Nothing else in this crate reads the clock, except rustls in its handshakes.
pub(crate) fn clock() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

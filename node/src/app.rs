//! Puts a node together. The only module that knows every other.

use std::{future::Future, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use causeway_certs::{accept, admit::AdmitLayer, dial, reverse, tls::TlsState};
use causeway_proto::{day::Day, limits::FEEDS};
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::ServingStatus;

use crate::{
    clock,
    config::{self, NodeConfig},
    inbox::{self, answer::Sender},
    ingest::{
        DryRun, Intake, Receipt,
        watch::{self, Round, Watch},
    },
    policy::current::Current,
    serve::{self, Node},
    source::Feed,
    store::{Store, claim::Claim, imports},
    tokenise::{
        keyring::{Keyring, KeyringError},
        recipe::MatchKeys,
    },
};

/// How often to look whether certificates or the policy were replaced.
const FILE_CHECK: Duration = Duration::from_secs(10);

/// A node with its store open and its files read.
pub struct App {
    config: NodeConfig,
    store: Store,
    keyring: Keyring,
    feeds: Vec<Feed>,
}

impl App {
    /// Opens everything that every command needs, so that what can fail at start-up fails now.
    pub async fn build(config: NodeConfig) -> anyhow::Result<Self> {
        let feeds = load_feeds(&config)?;
        let path = &config.store.path;
        let store = Store::open(path)
            .await
            .with_context(|| format!("could not open the records in {}", path.display()))?;
        let keyring = Keyring::new(&config.keys.folder, config.deployment.clone());
        Ok(Self { config, store, keyring, feeds })
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns whether the settings name folders that exports land in.
    pub fn has_folders(&self) -> bool {
        !self.config.intake.is_empty()
    }

    /// Takes in one export: a file or, without one, what the feed's database answers.
    pub async fn ingest(
        &self,
        feed: &str,
        file: Option<&Path>,
        as_at: Option<Day>,
    ) -> anyhow::Result<Receipt> {
        let feed = self.feed(feed)?;
        self.check_day(as_at, [feed]).await?;
        let keys = self.keyring.match_keys()?;
        let intake = self.intake(&keys, as_at);
        let receipt = match file {
            Some(file) => intake.take_in(feed, file).await?,
            None => intake.ask(feed).await?,
        };
        let name = file.and_then(Path::file_name).map(|name| name.to_string_lossy());
        watch::took_in(&receipt, name.as_deref().unwrap_or("database"));
        Ok(receipt)
    }

    /// Takes in whatever lies in the folders of the settings, and asks every database once.
    pub async fn ingest_all(&self, as_at: Option<Day>) -> anyhow::Result<Round> {
        self.check_day(as_at, &self.feeds).await?;
        let keys = self.keyring.match_keys()?;
        let round = watch::once(&self.intake(&keys, as_at), &self.config.intake).await;
        for outcome in &round.outcomes {
            if let Ok(Some(receipt)) = &outcome.result {
                watch::took_in(receipt, &outcome.file);
            }
        }
        Ok(round)
    }

    /// Says what taking in an export would find.
    pub async fn dry_run(
        &self,
        feed: &str,
        file: Option<&Path>,
        as_at: Option<Day>,
    ) -> anyhow::Result<DryRun> {
        let feed = self.feed(feed)?;
        self.check_day(as_at, [feed]).await?;
        let keys = self.keyring.match_keys()?;
        Ok(self.intake(&keys, as_at).dry_run(feed, file).await?)
    }

    /// Refuses a day that exports cannot be of: one to come, or one before what came in already.
    async fn check_day(
        &self,
        as_at: Option<Day>,
        feeds: impl IntoIterator<Item = &Feed>,
    ) -> anyhow::Result<()> {
        let Some(day) = as_at else { return Ok(()) };
        let today = clock::today();
        // Where the export was made, tomorrow may have begun.
        ensure!(
            day <= today.plus(1),
            "{day} is in the future: today is {today}; in `--as-at`, name the day the export was made"
        );
        let mut conn = self.store.read().await?;
        for feed in feeds {
            let last = imports::last_taken(&mut conn, feed.id()).await?;
            if let Some(last) = last.and_then(|last| last.as_at).filter(|last| day < *last) {
                bail!(
                    "feed `{}` told of {last} already, and an export of {day} would undo what came \
                     since: in `--as-at`, name no day before {last}, or leave it out for today",
                    feed.id()
                );
            }
        }
        Ok(())
    }

    /// Returns a feed of the settings.
    pub fn feed(&self, id: &str) -> anyhow::Result<&Feed> {
        self.feeds.iter().find(|feed| feed.id() == id).with_context(|| {
            let known: Vec<&str> = self.feeds.iter().map(Feed::id).collect();
            format!("there is no feed `{id}` in the settings; there are {}", known.join(", "))
        })
    }

    fn intake<'a>(&'a self, keys: &'a MatchKeys, as_at: Option<Day>) -> Intake<'a> {
        Intake {
            store: &self.store,
            feeds: &self.feeds,
            keys,
            keyring: Some(&self.keyring),
            as_at: as_at.unwrap_or_else(clock::today),
            now_ms: clock::now_ms(),
        }
    }

    /// Answers until `stop` resolves, then lets calls in progress finish for a while. Calls `ready`
    /// with the address once it answers.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
        ready: impl FnOnce(Option<SocketAddr>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { config, store, keyring, feeds } = self;
        // Held until the node is down.
        let _claim = Claim::of(&config.store.path)?;
        keyring.try_write().context("the key of a closed sweep could not be erased")?;
        let policy = Current::load(&config.policy, &config.id, config.kind)?;
        usable_key(&keyring)?;
        // Identity before sockets.
        let files = config.identity_files.clone();
        let tls = TlsState::load(&files, OffsetDateTime::now_utc())?;
        ensure!(
            tls.identity() == config.identity(),
            "the certificate is for {} and this node is {}",
            tls.identity(),
            config.identity()
        );
        bring_up_to_date(&store, &keyring, &feeds).await?;
        let contact = config.contact.clone().map(Into::into);
        let time = (clock::now_ms as fn() -> u64, config.serve.any_day);
        if config.serve.any_day {
            tracing::warn!("[serve] any_day: {}", config::ANY_DAY);
        }
        let parts = (store.clone(), keyring.clone());
        let node = Node::new(config.kind, parts, policy, (feeds.clone(), contact), time);
        let of_policy = node.clone();
        let stale_after_h = Box::new(move || of_policy.stale_after_h());
        let keys = (store.clone(), keyring.clone(), feeds.clone());
        let watch = Watch::new((store, keyring), feeds, &config.intake, stale_after_h);
        let (routes, health) = serve::routes(&node, config.serve.reflection);
        let admit = AdmitLayer::for_node(
            tls.clone(),
            config.identity(),
            config.coordinator.clone(),
            config.serve.operators.clone(),
            config.serve.reflection,
        );

        let (out, incoming) = mpsc::channel(16);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(watch.run());
        let watched = tls.clone();
        tasks.spawn(async move {
            watched.watch(files, FILE_CHECK, std::future::pending::<()>()).await;
        });
        let mut address = None;
        if let Some(listen) = config.serve.listen {
            let listener = TcpListener::bind(listen)
                .await
                .with_context(|| format!("could not listen on {listen}"))?;
            address = Some(listener.local_addr()?);
            tasks.spawn(accept::accept_into(listener, tls.clone(), None, out.clone()));
        }
        if let Some(coordinator) = config.dials_out() {
            let (peer, to) = (config.coordinator(), coordinator.to_owned());
            let never = std::future::pending::<()>();
            tasks.spawn(reverse::keep_dialled(tls.clone(), to, peer, out.clone(), never));
        }
        match config.serve.coordinator_address.clone() {
            Some(to) => {
                let channel = dial::channel(&tls, to, config.coordinator());
                let (store, bell) = (node.store.clone(), node.reviewed.clone());
                let policy = node.policy.clone();
                tasks.spawn(Sender { store, channel, bell, policy, now_ms: clock::now_ms }.run());
            }
            None => tracing::warn!(
                "reviews stay here: [serve] needs the `coordinator_address` to pass them on"
            ),
        }
        tasks.spawn(remind(node.store.clone()));
        tasks.spawn(read_policy(node.clone()));
        tasks.spawn(follow_keys(keys));
        tasks.spawn(end_sweeps(node.clone()));
        tracing::info!(agency.id = %config.id, listen = ?address, "node is up");
        ready(address)?;

        let (drain, draining) = tokio::sync::oneshot::channel::<()>();
        let server = accept::server().layer(admit).add_routes(routes);
        let server = server.serve_with_incoming_shutdown(ReceiverStream::new(incoming), async {
            let _ = draining.await;
        });
        let mut server = tokio::spawn(server);
        tokio::select! {
            ended = &mut server => ended?.context("the server stopped by itself")?,
            () = stop => {
                health.set_service_status("", ServingStatus::NotServing).await;
                node.drain();
                let _ = drain.send(());
                let patience = Duration::from_secs(config.serve.drain_seconds);
                if timeout(patience, &mut server).await.is_err() {
                    tracing::warn!("calls in progress did not end in time");
                    server.abort();
                }
            }
        }
        let patience = Duration::from_secs(config.serve.drain_seconds);
        let closed = async {
            tasks.shutdown().await;
            node.store.close().await;
        };
        // Whatever still reads is cut off with the process; nothing that was accepted hangs on it.
        let _ = timeout(patience, closed).await;
        tracing::info!("node is down");
        Ok(())
    }
}

/// Sees that the stored match-keys are those of the linkage key and the settings in use.
async fn bring_up_to_date(store: &Store, keyring: &Keyring, feeds: &[Feed]) -> anyhow::Result<()> {
    let keys = match keyring.match_keys() {
        Err(KeyringError::NoKey(_)) => return Ok(()),
        keys => keys?,
    };
    let (as_at, now_ms) = (clock::today(), clock::now_ms());
    let intake = Intake { store, feeds, keys: &keys, keyring: Some(keyring), as_at, now_ms };
    intake.bring_up_to_date().await.context("could not make the match-keys again")?;
    Ok(())
}

/// Takes in a linkage key that is put in place while the node is up, and makes the match-keys again.
async fn follow_keys((store, keyring, feeds): (Store, Keyring, Vec<Feed>)) {
    loop {
        tokio::time::sleep(FILE_CHECK).await;
        if let Err(error) = bring_up_to_date(&store, &keyring, &feeds).await {
            tracing::error!("{error:#}");
        }
    }
}

/// How often to look whether the open sweep has been open for too long.
const SWEEP_CHECK: Duration = Duration::from_secs(3600);

/// Ends sweeps that are over although nobody closes them, and sees that their keys are erased.
async fn end_sweeps(node: Node) {
    loop {
        if let Err(status) = node.end_what_is_over().await {
            let problem = status.message();
            tracing::error!(problem, "the key of a sweep that is over is not erased; tries again");
        }
        tokio::time::sleep(SWEEP_CHECK).await;
    }
}

/// Reads the policy now and then, so that the log says what is wrong with it before somebody asks: when
/// the file changes, and once a day.
async fn read_policy(node: Node) {
    let mut said = None;
    loop {
        let (policy, today) = (node.policy.now(), clock::today());
        if let Some(policy) = policy {
            let now = policy.concerns(today);
            if said.as_ref() != Some(&(today, now.clone())) {
                for concern in &now {
                    match concern.is_fatal {
                        true => tracing::error!("policy: {}", concern.message),
                        false => tracing::warn!("policy: {}", concern.message),
                    }
                }
                said = Some((today, now));
            }
        }
        tokio::time::sleep(FILE_CHECK).await;
    }
}

/// Makes sure that a linkage key, if there is one, can be used; takes in one that was put in place.
fn usable_key(keyring: &Keyring) -> anyhow::Result<()> {
    match keyring.handle_key().and_then(|_| keyring.chain()) {
        Ok(_) => Ok(()),
        Err(error @ KeyringError::NoKey(_)) => {
            tracing::warn!("this node can take part in no sweep yet: {error}");
            Ok(())
        }
        Err(error) => Err(error).context("could not use the linkage key"),
    }
}

/// How often to look for alerts that nobody opens.
const REMINDER: Duration = Duration::from_secs(6 * 3600);

/// Says in the log how many alerts nobody has opened for a day, for whoever watches it.
async fn remind(store: Store) {
    loop {
        let unread = async {
            let mut conn = store.read().await?;
            inbox::unopened(&mut conn, clock::now_ms()).await
        };
        match unread.await {
            Ok(0) => {}
            Ok(alerts) => {
                tracing::warn!(alerts, "nobody has opened these alerts for a day or more")
            }
            Err(error) => tracing::error!(%error, "the inbox could not be read"),
        }
        tokio::time::sleep(REMINDER).await;
    }
}

/// Reads the mapping of every feed.
pub fn load_feeds(config: &NodeConfig) -> anyhow::Result<Vec<Feed>> {
    let named = config.feeds.len();
    ensure!(named <= FEEDS, "the settings name {named} feeds, and an agency has at most {FEEDS}");
    let mut feeds: Vec<Feed> = Vec::with_capacity(named);
    for path in &config.feeds {
        let feed = Feed::load(path)?;
        ensure!(
            feeds.iter().all(|other| other.id() != feed.id()),
            "two mapping files have the id `{}`",
            feed.id()
        );
        feeds.push(feed);
    }
    for feed in &feeds {
        let Some(people) = &feed.mapping().person_feed else { continue };
        ensure!(
            feeds.iter().any(|other| other.id() == people),
            "feed `{}` is about people of `{people}`, which is no feed of this node",
            feed.id()
        );
    }
    Ok(feeds)
}

#[cfg(test)]
mod tests;
